"""IQ3_XXS: four values a point of a grid of 256; every 32 have a scale of 4 bits, and signs with even minuses."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.grid_tile import even_signs, points_of_4
from llamakit.core.quants.grids import find_grid, scaled, signs_of_word
from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import spread, to_float, view
from llamakit.core.simd.records import f16x16, i32x16
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


BIAS = 64
points = points_of_4("iq3_xxs", BIAS)


@inlined
def tile_scales(tile, d, m):
    """D = d / 2 * (scale + 1/2) for each 32 columns; M is not used."""
    step = view(tile, f16x16)[0] * 0.5
    words = view(tile + 32, i32x16)
    for k in range(8):
        d[k] = step * (to_float(words[3 * k + 2] >> 28) + 0.5)


@inlined
def part(tile, h, q):
    words = view(tile + 32, i32x16) + h * 3
    signs = even_signs(spread(words[2], 0, 7, 7, 0))
    for c in range(2):
        points(words[c], words[c], signs, 16 * c, q + 4 * c)


# indices and signs of 32 columns follow each other
UNITS = (Unit(0, 2, 2), *(unit for g in range(8) for unit in (Unit(2 + 8 * g, 8, 4), Unit(66 + 4 * g, 4, 4))))
TILE = Tile(256, 98, UNITS, 32, 32, has_min=False, bias=BIAS, scales=tile_scales, part=part)
