"""IQ2_XXS: eight values a point of a grid of 256; every 32 have a scale of 4 bits, and signs with even minuses."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.grid_tile import even_signs, points_of_8
from llamakit.core.quants.grids import find_grid, scaled, signs_of_word
from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import spread, to_float, view
from llamakit.core.simd.records import f16x16, i32x16
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


BIAS = 64
points = points_of_8("iq2_xxs", BIAS)


@inlined
def tile_scales(tile, d, m):
    """D = d / 4 * (scale + 1/2) for each 32 columns; M is not used."""
    step = view(tile, f16x16)[0] * 0.25
    words = view(tile + 32, i32x16)
    for k in range(8):
        d[k] = step * (to_float(words[2 * k + 1] >> 28) + 0.5)


@inlined
def part(tile, h, q):
    words = view(tile + 32, i32x16) + h * 2
    points(words[0], words[0], even_signs(spread(words[1], 0, 7, 7, 0)), False, q)


UNITS = (Unit(0, 2, 2), Unit(2, 64, 4))
TILE = Tile(256, 66, UNITS, 32, 32, has_min=False, bias=BIAS, scales=tile_scales, part=part)
