"""IQ3_XXS: four values a point of a grid of 256; every 32 have a scale of 4 bits, and signs with even minuses."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.pack import Packing
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.grid_tile import even_signs, points_of_4
from llamakit.core.quants.grids import find_grid, scaled, signs_of_word
from llamakit.core.quants.neighbours import search_table
from llamakit.core.quants.pack_parts import store_half
from llamakit.core.quants.search.magnitudes import magnitude_fit, quantize_scales, sevens_and_scale
from llamakit.core.quants.search.points import low_bytes_of_indices
from llamakit.core.quants.search.superblocks import by_importance, by_square
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import registers, spread, to_float, view
from llamakit.core.simd.records import f16x16, f32x16, i32x16

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


# indices and signs of 32 columns follow each other
UNITS = (Unit(0, 2, 2), *(unit for g in range(8) for unit in (Unit(2 + 8 * g, 8, 4), Unit(66 + 4 * g, 4, 4))))


def quantizer(weigh: Any) -> Any:
    fit = magnitude_fit(32, 4, weigh, has_even_signs=True, n_trials=15, delta=0.2, redo="moved points", flat=1e-8)

    @helper
    def quantize(blocks, tile):
        """d = 1.0125 / 31 * the largest scale, scale = d * (2 integer + 1)"""
        scales, integers = registers(f32x16, 8), registers(i32x16, 8)
        points, signs = registers(i32x16, 64), registers(i32x16, 32)
        fit(blocks, scales, points, signs)
        store_half(tile, 0, quantize_scales(scales, 8, 15, integers) * 1.0125)
        words = view(tile + 32, i32x16)
        for k in range(8):
            words[3 * k], _ = low_bytes_of_indices(points + 8 * k, 0)
            words[3 * k + 1], _ = low_bytes_of_indices(points + 8 * k + 4, 0)
            words[3 * k + 2] = sevens_and_scale(signs + 4 * k, integers[k])

    return quantize


TABLES = partial(search_table, "iq3_xxs")
PACKING = Packing(256, 98, UNITS, quantizer(by_square), tables=TABLES)
WEIGHTED = Packing(256, 98, UNITS, quantizer(by_importance(2)), is_weighted=True, tables=TABLES)
IQ3_XXS = QuantType(GGMLType.IQ3_XXS, LAYOUT, dequantize, PACKING, WEIGHTED)


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


TILE = Tile(256, 98, UNITS, 32, 32, has_min=False, bias=BIAS, scales=tile_scales, part=part)
