"""Public home of the quantizers: `llamakit.quants.quantize`, `llamakit.quants.dequantize`."""

from llamakit.core.quants import QuantType, available, dequantize, find_type, parse_type, quantize

__all__ = ["QuantType", "available", "dequantize", "find_type", "parse_type", "quantize"]
