"""Q5_1: 32 values of 5 bits, one scale and one minimum."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack

LAYOUT = np.dtype([("d", "<f2"), ("m", "<f2"), ("qh", "u1", (4,)), ("qs", "u1", (16,))])  # bits as in Q5_0


def dequantize(blocks: Blocks) -> Floats:
    """x = d * q + m   (n_blocks,) -> (n_blocks, 32)"""
    q = unpack(blocks["qs"], n_bits=4, run=16) | unpack(blocks["qh"], n_bits=1, run=1) << 4
    return column(blocks["d"]) * q + column(blocks["m"])


Q5_1 = QuantType(GGMLType.Q5_1, LAYOUT, dequantize)
