"""Q4_K: 256 values of 4 bits; every 32 have a scale and a minimum of 6 bits."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack
from llamakit.core.quants.k_scales import unpack_scales

LAYOUT = np.dtype(
    [
        ("d", "<f2"),
        ("dmin", "<f2"),
        ("scales", "u1", (12,)),  # eight scales and eight minimums of 6 bits, see k_scales.py
        ("qs", "u1", (128,)),  # 32 bytes hold 64 values: low nibbles the first 32, high nibbles the second
    ]
)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * scale * q - dmin * min   (n_blocks,) -> (n_blocks, 256)"""
    q = unpack(blocks["qs"], n_bits=4, run=32).reshape(-1, 8, 32)
    scales, mins = unpack_scales(blocks["scales"])
    step: Floats = column(blocks["d"]) * scales
    minimum: Floats = column(blocks["dmin"]) * mins
    return (step[:, :, None] * q - minimum[:, :, None]).reshape(-1, 256)


Q4_K = QuantType(GGMLType.Q4_K, LAYOUT, dequantize)
