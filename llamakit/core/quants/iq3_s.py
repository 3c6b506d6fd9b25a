"""IQ3_S: four values a point of a grid of 512, and a sign each; every 32 have a scale of 4 bits."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack
from llamakit.core.quants.grids import find_grid, scaled, signs_of
from llamakit.errors import UsageError

LAYOUT = np.dtype(
    [
        ("d", "<f2"),
        ("qs", "u1", (64,)),  # bits 0-7 of the indices into the grid
        ("qh", "u1", (8,)),  # bit 8 of the indices, eight a byte
        ("signs", "u1", (32,)),
        ("scales", "u1", (4,)),  # low nibble the first 32 values of 64, high nibble the rest
    ]
)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (2 scale + 1) * sign * grid   (n_blocks,) -> (n_blocks, 256)"""
    index = blocks["qs"] | unpack(blocks["qh"], n_bits=1, run=1).astype(np.uint16) << 8
    values = find_grid("iq3_s").values[index].reshape(-1, 256)
    scales = 2 * unpack(blocks["scales"], n_bits=4, run=1) + 1
    return scaled(column(blocks["d"]) * scales, values * signs_of(blocks["signs"]))


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """(n_rows, n) -> (n_rows * n / 256,)"""
    raise UsageError("IQ3_S can be read only, so far")


IQ3_S = QuantType(GGMLType.IQ3_S, LAYOUT, dequantize, quantize)
