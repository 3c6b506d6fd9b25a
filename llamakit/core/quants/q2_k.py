"""Q2_K: 256 values of 2 bits; every 16 have a scale and a minimum of 4 bits."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack

LAYOUT = np.dtype(
    [
        ("scales", "u1", (16,)),  # of sub-block j: scale in the low nibble, minimum in the high one
        ("qs", "u1", (64,)),  # bits 0-1 of bytes 0-31 are values 0-31, bits 2-3 are values 32-63, ...
        ("d", "<f2"),
        ("dmin", "<f2"),
    ]
)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * scale * q - dmin * min   (n_blocks,) -> (n_blocks, 256)"""
    q = unpack(blocks["qs"], n_bits=2, run=32).reshape(-1, 16, 16)
    scale: Floats = column(blocks["d"]) * (blocks["scales"] & 15)
    minimum: Floats = column(blocks["dmin"]) * (blocks["scales"] >> 4)
    return (scale[:, :, None] * q - minimum[:, :, None]).reshape(-1, 256)


Q2_K = QuantType(GGMLType.Q2_K, LAYOUT, dequantize)
