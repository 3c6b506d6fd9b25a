"""Q6_K: 256 values of 6 bits; every 16 have a signed scale of 8 bits."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack

LAYOUT = np.dtype(
    [
        ("ql", "u1", (128,)),  # 64 bytes hold the low four bits of 128 values: low nibbles first
        ("qh", "u1", (64,)),  # 32 bytes hold the high two bits of 128 values, in runs of 32
        ("scales", "i1", (16,)),
        ("d", "<f2"),
    ]
)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * scale * (q - 32)   (n_blocks,) -> (n_blocks, 256)"""
    q = unpack(blocks["ql"], n_bits=4, run=64) | unpack(blocks["qh"], n_bits=2, run=32) << 4
    step: Floats = column(blocks["d"]) * blocks["scales"]
    return (step[:, :, None] * (q.view(np.int8) - np.int8(32)).reshape(-1, 16, 16)).reshape(-1, 256)


Q6_K = QuantType(GGMLType.Q6_K, LAYOUT, dequantize)
