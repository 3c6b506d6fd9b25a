"""Q4_0: 32 values of 4 bits and one scale."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack

LAYOUT = np.dtype([("d", "<f2"), ("qs", "u1", (16,))])  # low nibbles are values 0-15, high nibbles 16-31


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (q - 8)   (n_blocks,) -> (n_blocks, 32)"""
    q = unpack(blocks["qs"], n_bits=4, run=16).view(np.int8) - np.int8(8)
    return column(blocks["d"]) * q


Q4_0 = QuantType(GGMLType.Q4_0, LAYOUT, dequantize)
