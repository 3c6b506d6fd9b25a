"""Q1_0: 128 signs and one scale."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import pack, unpack
from llamakit.core.quants.scales import columns, total

LAYOUT = np.dtype([("d", "<f2"), ("qs", "u1", (16,))])  # bit i is value i


def dequantize(blocks: Blocks) -> Floats:
    """x = d where the bit is set, else -d   (n_blocks,) -> (n_blocks, 128)"""
    return column(blocks["d"]) * (unpack(blocks["qs"], n_bits=1, run=1).view(np.int8) * np.int8(2) - np.int8(1))


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """d = mean |x|   (n_rows, n) -> (n_rows * n / 128,)"""
    x = rows.reshape(-1, 128)
    blocks = np.empty(len(x), LAYOUT)
    blocks["d"] = total(columns(np.abs(x), 128)) / 128
    blocks["qs"] = pack((x >= 0).view(np.uint8), n_bits=1, run=1)
    return blocks


Q1_0 = QuantType(GGMLType.Q1_0, LAYOUT, dequantize, quantize)
