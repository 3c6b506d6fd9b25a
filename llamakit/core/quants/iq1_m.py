"""IQ1_M: eight ternary values a point of a grid of 2048, shifted by 1/8 up or down; every 16 have a scale of 3 bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack
from llamakit.core.quants.grids import find_grid
from llamakit.core.quants.iq1_s import SHIFT
from llamakit.errors import UsageError

LAYOUT = np.dtype(
    [
        ("qs", "u1", (32,)),  # bits 0-7 of the indices into the grid
        ("qh", "u1", (16,)),  # a nibble for 8 values: bits 8-10 of the index, and whether the shift is down
        ("scales", "<u2", (4,)),  # four scales of 3 bits and, in the highest nibbles, the half float d
    ]
)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (2 scale + 1) * (grid +- 1/8)   (n_blocks,) -> (n_blocks, 256)"""
    qh = unpack(blocks["qh"], n_bits=4, run=1)
    index = blocks["qs"] | (qh & 7).astype(np.uint16) << 8
    shift = np.where(qh >> 3, -SHIFT, SHIFT)
    shifted: Floats = find_grid("iq1").values[index] + shift[:, :, None]
    words = blocks["scales"]
    scales = words[:, :, None] >> np.arange(0, 12, 3, dtype=np.uint16) & np.uint16(7)
    step: Floats = column(joined_d(words)) * (2 * scales.reshape(-1, 16) + 1)
    return (step[:, :, None] * shifted.reshape(-1, 16, 16)).reshape(-1, 256)


def joined_d(words: npt.NDArray[np.uint16]) -> npt.NDArray[np.float16]:
    """The half float whose nibbles lie highest in four words, lowest first.   (n_blocks, 4) -> (n_blocks,)"""
    nibbles = words >> 12 << np.arange(0, 16, 4, dtype=np.uint16)
    joined: npt.NDArray[np.uint16] = np.bitwise_or.reduce(nibbles, axis=1)
    return joined.view(np.float16)


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """(n_rows, n) -> (n_rows * n / 256,)"""
    raise UsageError("IQ1_M can be read only, so far")


IQ1_M = QuantType(GGMLType.IQ1_M, LAYOUT, dequantize, quantize)
