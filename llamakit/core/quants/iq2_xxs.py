"""IQ2_XXS: eight values a point of a grid of 256; every 32 have a scale of 4 bits, and signs with even minuses."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.grids import find_grid, scaled, signs_of_word
from llamakit.errors import UsageError

# 32 values: four indices into the grid; four signs of 7 bits, and above them the scale
GROUP = np.dtype([("index", "u1", (4,)), ("signs", "<u4")])
LAYOUT = np.dtype([("d", "<f2"), ("groups", GROUP, (8,))])


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (scale + 1/2) / 4 * sign * grid   (n_blocks,) -> (n_blocks, 256)"""
    groups = blocks["groups"]
    values = find_grid("iq2_xxs").values[groups["index"]].reshape(-1, 256)
    scales = (groups["signs"] >> 28).astype(np.float32) + np.float32(0.5)
    return scaled(column(blocks["d"]) * scales * np.float32(0.25), values * signs_of_word(groups["signs"]))


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """(n_rows, n) -> (n_rows * n / 256,)"""
    raise UsageError("IQ2_XXS can be read only, so far")


IQ2_XXS = QuantType(GGMLType.IQ2_XXS, LAYOUT, dequantize, quantize, needs_imatrix=True)
