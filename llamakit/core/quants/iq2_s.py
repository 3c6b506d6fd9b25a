"""IQ2_S: eight values a point of a grid of 1024, and a sign each; every 16 have a scale of 4 bits."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.pack import Packing
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack
from llamakit.core.quants.grid_tile import points_of_8, scales_by_16
from llamakit.core.quants.grids import find_grid, scaled, signs_of
from llamakit.core.quants.neighbours import search_table
from llamakit.core.quants.pack_parts import four_bytes, store_half
from llamakit.core.quants.search.groups import total_square
from llamakit.core.quants.search.magnitudes import magnitude_fit, quantize_scales
from llamakit.core.quants.search.points import low_bytes_of_indices
from llamakit.core.quants.search.superblocks import by_importance
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import narrow, registers, spread, view, widen
from llamakit.core.simd.records import f16x16, f32x16, i8x16, i32x16

LAYOUT = np.dtype(
    [
        ("d", "<f2"),
        ("qs", "u1", (32,)),  # bits 0-7 of the indices into the grid
        ("signs", "u1", (32,)),
        ("qh", "u1", (8,)),  # bits 8-9 of the indices, four a byte
        ("scales", "u1", (8,)),  # low nibble the first 16 values of 32, high nibble the rest
    ]
)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (scale + 1/2) / 4 * sign * grid   (n_blocks,) -> (n_blocks, 256)"""
    index = blocks["qs"] | unpack(blocks["qh"], n_bits=2, run=1).astype(np.uint16) << 8
    values = find_grid("iq2_s").values[index].reshape(-1, 256)
    scales = unpack(blocks["scales"], n_bits=4, run=1) + np.float32(0.5)
    return scaled(column(blocks["d"]) * scales * np.float32(0.25), values * signs_of(blocks["signs"]))


UNITS = (
    Unit(0, 2, 2),
    Unit(74, 8, 1),
    *(unit for g in range(8) for unit in (Unit(2 + 4 * g, 4, 4), Unit(34 + 4 * g, 4, 4), Unit(66 + g, 1, 1))),
)
GROUP = 16 * 9  # bytes of a tile for 32 columns: low bits of the indices, signs, high bits


@helper
def by_size(blocks, weights):
    """Half the mean square of the block, and x^2."""
    floor = 0.25 * (2.0 * total_square(blocks.x, 256) / 256.0)
    for i in range(256):
        weights[i] = floor + blocks.x[i] * blocks.x[i]


def quantizer(weigh: Any) -> Any:
    fit = magnitude_fit(16, 8, weigh, has_even_signs=False, n_trials=9, delta=0.1, redo="moved points", flat=1e-8)

    @helper
    def quantize(blocks, tile):
        """d = 0.9875 / 31 * the largest scale, scale = d * (2 integer + 1)"""
        scales, integers = registers(f32x16, 16), registers(i32x16, 16)
        points, signs = registers(i32x16, 32), registers(i32x16, 32)
        fit(blocks, scales, points, signs)
        store_half(tile, 0, quantize_scales(scales, 16, 15, integers) * 0.9875)
        pairs = view(tile + 32, i8x16)
        for k in range(8):
            pairs[k] = narrow(integers[2 * k] | (integers[2 * k + 1] << 4))
            group = tile + 160 + k * GROUP
            words = view(group, i32x16)
            words[0], high = low_bytes_of_indices(points + 4 * k, 2)
            words[1] = four_bytes(signs, 4 * k)
            view(group + 128, i8x16)[0] = narrow(high)

    return quantize


TABLES = partial(search_table, "iq2_s")
PACKING = Packing(256, 82, UNITS, quantizer(by_size), tables=TABLES)
WEIGHTED = Packing(256, 82, UNITS, quantizer(by_importance(2)), is_weighted=True, tables=TABLES)
IQ2_S = QuantType(GGMLType.IQ2_S, LAYOUT, dequantize, PACKING, WEIGHTED)


BIAS = 64
points = points_of_8("iq2_s", BIAS)


@inlined
def tile_scales(tile, d, m):
    """D = d / 4 * (scale + 1/2) for each 16 columns; M is not used."""
    scales_by_16(view(tile, f16x16)[0] * 0.25, view(tile + 32, i32x16), d)


@inlined
def part(tile, h, q):
    group = tile + 160 + h * GROUP
    words, high = view(group, i32x16), widen(view(group + 128, i8x16)[0])
    points(words[0], spread(high, 0, 2, 2, 0), words[1], False, q)


TILE = Tile(256, 82, UNITS, 32, 16, has_min=False, bias=BIAS, scales=tile_scales, part=part)
