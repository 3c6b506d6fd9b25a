"""Q2_0: 64 values of 2 bits and one scale."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import pack, unpack
from llamakit.core.quants.scales import divide, round_half_away

LAYOUT = np.dtype([("d", "<f2"), ("qs", "u1", (16,))])  # byte b holds values 4 b to 4 b + 3, lowest bits first


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (q - 1)   (n_blocks,) -> (n_blocks, 64)"""
    return column(blocks["d"]) * (unpack(blocks["qs"], n_bits=2, run=1).view(np.int8) - np.int8(1))


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """d = max |x|, so that nothing ever takes the level 2 d.   (n_rows, n) -> (n_rows * n / 64,)"""
    x = rows.reshape(-1, 64)
    d = np.abs(x).max(axis=1)
    q = np.clip(round_half_away(x * divide(1, d)[:, None]) + np.float32(1), 0, 3)
    blocks = np.empty(len(x), LAYOUT)
    blocks["d"] = d
    blocks["qs"] = pack(q.astype(np.uint8), n_bits=2, run=1)
    return blocks


Q2_0 = QuantType(GGMLType.Q2_0, LAYOUT, dequantize, quantize)
