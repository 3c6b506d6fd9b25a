"""IQ2_XS: eight values a point of a grid of 512; every 16 have a scale of 4 bits, and signs with even minuses."""

from __future__ import annotations

from functools import partial

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.pack import Packing
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack
from llamakit.core.quants.grid_tile import even_signs, points_of_8, scales_by_16
from llamakit.core.quants.grids import EVEN_SIGNS, find_grid, scaled, signs_of
from llamakit.core.quants.neighbours import search_table
from llamakit.core.quants.pack_parts import store_half
from llamakit.core.quants.search.magnitudes import magnitude_fit, quantize_scales
from llamakit.core.quants.search.points import index_of
from llamakit.core.quants.search.superblocks import by_importance
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import narrow, registers, view
from llamakit.core.simd.records import f16x16, f32x16, i8x16, i32x16

LAYOUT = np.dtype(
    [
        ("d", "<f2"),
        ("qs", "<u2", (32,)),  # eight values: bits 0-8 the index into the grid, bits 9-15 the signs
        ("scales", "u1", (8,)),  # low nibble the first 16 values of 32, high nibble the rest
    ]
)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (scale + 1/2) / 4 * sign * grid   (n_blocks,) -> (n_blocks, 256)"""
    qs = blocks["qs"]
    values = find_grid("iq2_xs").values[qs & 511].reshape(-1, 256)
    scales = unpack(blocks["scales"], n_bits=4, run=1) + np.float32(0.5)
    return scaled(column(blocks["d"]) * scales * np.float32(0.25), values * signs_of(EVEN_SIGNS[qs >> 9]))


UNITS = (Unit(0, 2, 2), Unit(66, 8, 1), Unit(2, 64, 4))
FIT = magnitude_fit(16, 8, by_importance(1), has_even_signs=True, n_trials=9, delta=0.1, redo="moved points")


@helper
def quantize(blocks, tile):
    """d = the largest scale / 31, scale = d * (2 integer + 1)"""
    scales, integers = registers(f32x16, 16), registers(i32x16, 16)
    points, signs = registers(i32x16, 32), registers(i32x16, 32)
    FIT(blocks, scales, points, signs)
    store_half(tile, 0, quantize_scales(scales, 16, 15, integers))
    pairs, words = view(tile + 32, i8x16), view(tile + 160, i32x16)
    for k in range(8):
        pairs[k] = narrow(integers[2 * k] | (integers[2 * k + 1] << 4))
    for k in range(16):
        first = index_of(points[2 * k]) | ((signs[2 * k] & 127) << 9)
        words[k] = first | (index_of(points[2 * k + 1]) << 16) | (signs[2 * k + 1] << 25)


WEIGHTED = Packing(256, 74, UNITS, quantize, is_weighted=True, tables=partial(search_table, "iq2_xs"))
IQ2_XS = QuantType(GGMLType.IQ2_XS, LAYOUT, dequantize, None, WEIGHTED, needs_imatrix=True)


BIAS = 64
points = points_of_8("iq2_xs", BIAS)


@inlined
def tile_scales(tile, d, m):
    """D = d / 4 * (scale + 1/2) for each 16 columns; M is not used."""
    scales_by_16(view(tile, f16x16)[0] * 0.25, view(tile + 32, i32x16), d)


@inlined
def part(tile, h, q):
    """Lower and upper bytes of four indices, each in the order 0, 2, 1, 3."""
    words = view(tile + 160, i32x16) + h * 2
    low = (words[0] & 0x00FF00FF) | ((words[1] & 0x00FF00FF) << 8)
    high = ((words[0] >> 8) & 0x00FF00FF) | (words[1] & 0xFF00FF00)
    points(low, high, even_signs((high >> 1) & 0x7F7F7F7F), True, q)


TILE = Tile(256, 74, UNITS, 32, 16, has_min=False, bias=BIAS, scales=tile_scales, part=part)
