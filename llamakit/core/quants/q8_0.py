"""Q8_0: 32 values of 8 bits and one scale."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants.base import Blocks, Floats, QuantType, column

LAYOUT = np.dtype([("d", "<f2"), ("qs", "i1", (32,))])


def dequantize(blocks: Blocks) -> Floats:
    """x = d * q   (n_blocks,) -> (n_blocks, 32)"""
    x: Floats = column(blocks["d"]) * blocks["qs"]
    return x


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """d = max |x| / 127, q = x / d to nearest, halves away from zero.   (n_rows, n) -> (n_rows * n / 32,)"""
    x = rows.reshape(-1, 32)
    d = np.abs(x).max(axis=1) / 127
    inverse = np.divide(1, d, out=np.zeros_like(d), where=d != 0)
    scaled = x * inverse[:, None]
    blocks = np.empty(len(x), LAYOUT)
    blocks["d"] = d
    blocks["qs"] = np.trunc(scaled + np.copysign(np.float32(0.5), scaled))
    return blocks


Q8_0 = QuantType(GGMLType.Q8_0, LAYOUT, dequantize, quantize)
