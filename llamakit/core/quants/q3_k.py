"""Q3_K: 256 values of 3 bits; every 16 have a signed scale of 6 bits."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack

LAYOUT = np.dtype(
    [
        ("hmask", "u1", (32,)),  # bit i // 32 of byte i % 32 is the high bit of value i
        ("qs", "u1", (64,)),  # low two bits, as in Q2_K
        ("scales", "u1", (12,)),  # 8 bytes of low nibbles (scales 0-7, then 8-15), 4 bytes of high bit pairs
        ("d", "<f2"),
    ]
)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (scale - 32) * (q - 4)   (n_blocks,) -> (n_blocks, 256)"""
    q = unpack(blocks["qs"], n_bits=2, run=32) | unpack(blocks["hmask"], n_bits=1, run=32) << 2
    low = unpack(blocks["scales"][:, :8], n_bits=4, run=8)
    high = unpack(blocks["scales"][:, 8:], n_bits=2, run=4)
    scale = (low | high << 4).view(np.int8) - np.int8(32)
    step: Floats = column(blocks["d"]) * scale
    return (step[:, :, None] * (q.view(np.int8) - np.int8(4)).reshape(-1, 16, 16)).reshape(-1, 256)


Q3_K = QuantType(GGMLType.Q3_K, LAYOUT, dequantize)
