"""Q5_0: 32 values of 5 bits and one scale."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack

LAYOUT = np.dtype([("d", "<f2"), ("qh", "u1", (4,)), ("qs", "u1", (16,))])  # bit i of qh is bit 4 of value i


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (q - 16)   (n_blocks,) -> (n_blocks, 32)"""
    q = unpack(blocks["qs"], n_bits=4, run=16) | unpack(blocks["qh"], n_bits=1, run=1) << 4
    return column(blocks["d"]) * (q.view(np.int8) - np.int8(16))


Q5_0 = QuantType(GGMLType.Q5_0, LAYOUT, dequantize)
