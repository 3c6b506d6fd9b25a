"""IQ1_S: eight ternary values a point of a grid of 2048; every 32 have a scale of 3 bits and a shift by 1/8."""

from __future__ import annotations

from functools import partial

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.pack import Packing
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.grid_tile import ternary_points
from llamakit.core.quants.grids import find_grid
from llamakit.core.quants.neighbours import search_table
from llamakit.core.quants.pack_parts import store_half
from llamakit.core.quants.search.magnitudes import quantize_scales
from llamakit.core.quants.search.points import low_bytes_of_indices
from llamakit.core.quants.search.splits import split_search
from llamakit.core.quants.search.superblocks import by_importance
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import as_float, as_int, registers, spread, to_float, view
from llamakit.core.simd.records import f16x16, f32x16, i32x16

LAYOUT = np.dtype(
    [
        ("d", "<f2"),
        ("qs", "u1", (32,)),  # bits 0-7 of the indices into the grid
        ("qh", "<u2", (8,)),  # 32 values: bits 8-10 of four indices, the scale, and whether the shift is down
    ]
)
SHIFT = np.float32(0.125)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (2 scale + 1) * (grid +- 1/8)   (n_blocks,) -> (n_blocks, 256)"""
    qh = blocks["qh"]
    high = qh[:, :, None] >> np.arange(0, 12, 3, dtype=np.uint16) & np.uint16(7)
    values = find_grid("iq1").values[blocks["qs"] | high.reshape(-1, 32) << 8].reshape(-1, 8, 32)
    step: Floats = column(blocks["d"]) * (2 * (qh >> 12 & 7) + 1)
    shift = np.where(qh >> 15, -SHIFT, SHIFT)
    shifted: Floats = values + shift[:, :, None]
    return (step[:, :, None] * shifted).reshape(-1, 256)


# low and high bits of 64 columns follow each other
UNITS = (Unit(0, 2, 2), *(unit for p in range(4) for unit in (Unit(2 + 8 * p, 8, 4), Unit(34 + 4 * p, 4, 4))))
WEIGH = by_importance(2)
FIT = split_search(32, n_shifts=1, flat=1e-12)


@helper
def quantize(blocks, tile):
    """d = 1.125 / 15 * the largest scale, scale = d * (2 integer + 1)"""
    weights, scales = registers(f32x16, 256), registers(f32x16, 8)
    points, downs, integers = registers(i32x16, 32), registers(i32x16, 8), registers(i32x16, 8)
    WEIGH(blocks, weights)
    for k in range(8):
        scales[k] = FIT(blocks.x + 32 * k, weights + 32 * k, blocks.table, points + 4 * k, downs + k)
    store_half(tile, 0, quantize_scales(scales, 8, 7, integers) * 1.125)
    for p in range(4):
        words = view(tile + 32, i32x16) + 3 * p
        words[0], first = low_bytes_of_indices(points + 8 * p, 3)
        words[1], second = low_bytes_of_indices(points + 8 * p + 4, 3)
        first = first | (integers[2 * p] << 12) | (downs[2 * p] << 15)
        second = second | (integers[2 * p + 1] << 12) | (downs[2 * p + 1] << 15)
        words[2] = first | (second << 16)


WEIGHTED = Packing(256, 50, UNITS, quantize, is_weighted=True, tables=partial(search_table, "iq1"))
IQ1_S = QuantType(GGMLType.IQ1_S, LAYOUT, dequantize, None, WEIGHTED, needs_imatrix=True)


points = ternary_points()


@inlined
def tile_scales(tile, d, m):
    """D = d * (2 scale + 1), M = D / 8 with the sign of the shift, for each 32 columns."""
    step, words = view(tile, f16x16)[0], view(tile + 32, i32x16)
    for k in range(8):
        high = words[k // 2 * 3 + 2] << (16 * (1 - k % 2))  # of this group in the upper half
        d[k] = step * to_float(((high >> 27) & 14) | 1)
        m[k] = as_float(as_int(d[k] * 0.125) ^ (high & -0x80000000))


@inlined
def part(tile, h, q):
    words = view(tile + 32, i32x16) + h * 3
    for b in range(2):
        points(words[b], spread(words[2], 16 * b, 3, 3, 0), q + 8 * b)


TILE = Tile(256, 50, UNITS, 64, 32, has_min=True, bias=1, scales=tile_scales, part=part)
