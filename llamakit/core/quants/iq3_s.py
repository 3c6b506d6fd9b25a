"""IQ3_S: four values a point of a grid of 512, and a sign each; every 32 have a scale of 4 bits."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.pack import Packing
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack
from llamakit.core.quants.grid_tile import points_of_4
from llamakit.core.quants.grids import find_grid, scaled, signs_of
from llamakit.core.quants.neighbours import search_table
from llamakit.core.quants.pack_parts import four_bytes, store_half
from llamakit.core.quants.search.magnitudes import magnitude_fit, quantize_scales
from llamakit.core.quants.search.points import low_bytes_of_indices
from llamakit.core.quants.search.superblocks import by_importance, by_square
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import (
    bytes_to_float0,
    bytes_to_float1,
    bytes_to_float2,
    bytes_to_float3,
    narrow,
    registers,
    spread,
    view,
    widen,
)
from llamakit.core.simd.records import f16x16, f32x16, i8x16, i32x16

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


UNITS = (
    Unit(0, 2, 2),
    Unit(106, 4, 1),
    *(unit for g in range(8) for unit in (Unit(2 + 8 * g, 8, 4), Unit(74 + 4 * g, 4, 4), Unit(66 + g, 1, 1))),
)
GROUP = 16 * 13  # bytes of a tile for 32 columns: low bits of the indices, signs, high bits


def quantizer(weigh: Any) -> Any:
    fit = magnitude_fit(32, 4, weigh, has_even_signs=False, n_trials=9, delta=0.2, redo="moved groups", flat=0.0)

    @helper
    def quantize(blocks, tile):
        """d = 1.033 / 31 * the largest scale, scale = d * (2 integer + 1)"""
        scales, integers = registers(f32x16, 8), registers(i32x16, 8)
        points, signs = registers(i32x16, 64), registers(i32x16, 32)
        fit(blocks, scales, points, signs)
        store_half(tile, 0, quantize_scales(scales, 8, 15, integers) * 1.033)
        pairs = view(tile + 32, i8x16)
        for k in range(4):
            pairs[k] = narrow(integers[2 * k] | (integers[2 * k + 1] << 4))
        for k in range(8):
            group = tile + 96 + k * GROUP
            words = view(group, i32x16)
            words[0], low = low_bytes_of_indices(points + 8 * k, 1)
            words[1], high = low_bytes_of_indices(points + 8 * k + 4, 1)
            words[2] = four_bytes(signs, 4 * k)
            view(group + 192, i8x16)[0] = narrow(low | (high << 4))

    return quantize


TABLES = partial(search_table, "iq3_s")
PACKING = Packing(256, 110, UNITS, quantizer(by_square), tables=TABLES)
WEIGHTED = Packing(256, 110, UNITS, quantizer(by_importance(2)), is_weighted=True, tables=TABLES)
IQ3_S = QuantType(GGMLType.IQ3_S, LAYOUT, dequantize, PACKING, WEIGHTED)


BIAS = 16
points = points_of_4("iq3_s", BIAS)


@inlined
def tile_scales(tile, d, m):
    """D = d * (2 scale + 1) for each 32 columns; M is not used."""
    step, words = view(tile, f16x16)[0], view(tile + 32, i32x16)[0]
    low, high = ((words << 1) & 0x1E1E1E1E) | 0x01010101, ((words >> 3) & 0x1E1E1E1E) | 0x01010101
    d[0], d[1] = step * bytes_to_float0(low), step * bytes_to_float0(high)
    d[2], d[3] = step * bytes_to_float1(low), step * bytes_to_float1(high)
    d[4], d[5] = step * bytes_to_float2(low), step * bytes_to_float2(high)
    d[6], d[7] = step * bytes_to_float3(low), step * bytes_to_float3(high)


@inlined
def part(tile, h, q):
    group = tile + 96 + h * GROUP
    words, high = view(group, i32x16), widen(view(group + 192, i8x16)[0])
    for c in range(2):
        points(words[c], spread(high, 4 * c, 1, 1, 0), words[2], 16 * c, q + 4 * c)


TILE = Tile(256, 110, UNITS, 32, 32, has_min=False, bias=BIAS, scales=tile_scales, part=part)
