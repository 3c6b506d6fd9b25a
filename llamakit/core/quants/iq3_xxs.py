"""IQ3_XXS: four values a point of a grid of 256; every 32 have a scale of 4 bits, and signs with even minuses."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.grids import find_grid, scaled, signs_of_word
from llamakit.errors import UsageError

LAYOUT = np.dtype(
    [
        ("d", "<f2"),
        ("qs", "u1", (64,)),  # indices into the grid
        ("signs", "<u4", (8,)),  # 32 values: four signs of 7 bits, and above them the scale
    ]
)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (scale + 1/2) / 2 * sign * grid   (n_blocks,) -> (n_blocks, 256)"""
    values = find_grid("iq3_xxs").values[blocks["qs"]].reshape(-1, 256)
    scales = (blocks["signs"] >> 28).astype(np.float32) + np.float32(0.5)
    return scaled(column(blocks["d"]) * scales * np.float32(0.5), values * signs_of_word(blocks["signs"]))


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """(n_rows, n) -> (n_rows * n / 256,)"""
    raise UsageError("IQ3_XXS can be read only, so far")


IQ3_XXS = QuantType(GGMLType.IQ3_XXS, LAYOUT, dequantize, quantize)
