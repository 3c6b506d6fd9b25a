"""IQ2_XXS: eight values a point of a grid of 256; every 32 have a scale of 4 bits, and signs with even minuses."""

from __future__ import annotations

from functools import partial

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.pack import Packing
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.grid_tile import even_signs, points_of_8
from llamakit.core.quants.grids import find_grid, scaled, signs_of_word
from llamakit.core.quants.neighbours import search_table
from llamakit.core.quants.pack_parts import store_half
from llamakit.core.quants.search.groups import largest
from llamakit.core.quants.search.magnitudes import magnitude_fit, quantize_scales, sevens_and_scale
from llamakit.core.quants.search.points import low_bytes_of_indices
from llamakit.core.quants.search.superblocks import by_importance
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import any_lane, less, registers, select, spread, to_float, to_int, view, vmin, vround
from llamakit.core.simd.records import f16x16, f32, f32x16, i32x16

# 32 values: four indices into the grid; four signs of 7 bits, and above them the scale
GROUP = np.dtype([("index", "u1", (4,)), ("signs", "<u4")])
LAYOUT = np.dtype([("d", "<f2"), ("groups", GROUP, (8,))])


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (scale + 1/2) / 4 * sign * grid   (n_blocks,) -> (n_blocks, 256)"""
    groups = blocks["groups"]
    values = find_grid("iq2_xxs").values[groups["index"]].reshape(-1, 256)
    scales = (groups["signs"] >> 28).astype(np.float32) + np.float32(0.5)
    return scaled(column(blocks["d"]) * scales * np.float32(0.25), values * signs_of_word(groups["signs"]))


UNITS = (Unit(0, 2, 2), Unit(2, 64, 4))


@helper
def quantize(blocks, tile):
    """d = the largest scale / 31, scale = d * (2 integer + 1)"""
    scales, integers = registers(f32x16, 8), registers(i32x16, 8)
    points, signs = registers(i32x16, 32), registers(i32x16, 32)
    FIT(blocks, scales, points, signs)
    store_half(tile, 0, quantize_scales(scales, 8, 15, integers))
    words = view(tile + 32, i32x16)
    for k in range(8):
        words[2 * k], _ = low_bytes_of_indices(points + 4 * k, 0)
        words[2 * k + 1] = sevens_and_scale(signs + 4 * k, integers[k])


@helper
def reach(x, weights):
    """Three times the scale of x = scale * q, q in 0..4: ggml's make_qp of 32 values.

    It keeps q in a byte: that of a negative value, one with the wrong sign, is 256 too high where ggml reads it back.
    """
    top = largest(x, 32)
    inverse = 4.0 / top
    q = registers(f32x16, 32)
    scale, best_error = 1.0 / inverse, f32x16(0.0)
    for i in range(32):
        diff = x[i] - scale * as_byte(vround(inverse * x[i]))
        best_error = best_error + weights[i] * diff * diff
    for trial in range(-4, 5):
        if trial != 0:
            tried = (f32(0.1) * f32(trial) + f32(4)) / top
            scale, error = 1.0 / tried, f32x16(0.0)
            for i in range(32):
                diff = x[i] - scale * vmin(f32x16(4.0), vround(tried * x[i]))
                error = error + weights[i] * diff * diff
            is_better = less(error, best_error)
            best_error, inverse = select(is_better, error, best_error), select(is_better, tried, inverse)
    sum_qx, sum_q2 = f32x16(0.0), f32x16(0.0)
    for i in range(32):
        new = vmin(f32x16(4.0), vround(inverse * x[i]))
        q[i] = as_byte(new)
        sum_qx, sum_q2 = sum_qx + weights[i] * x[i] * new, sum_q2 + weights[i] * new * new
    n_passes, is_changed = 0, 1
    while n_passes < 5 and is_changed != 0:
        is_changed = 0
        for i in range(32):
            weight, weighted_x, old = weights[i], weights[i] * x[i], q[i]
            rest_qx, rest_q2 = sum_qx - weighted_x * old, sum_q2 - weight * old * old
            new = vmin(f32x16(4.0), vround(x[i] * rest_q2 / rest_qx))
            new_qx, new_q2 = rest_qx + weighted_x * new, rest_q2 + weight * new * new
            is_better = less(f32x16(0.0), rest_qx) & less(f32x16(0.0), rest_q2) & (less(new, old) | less(old, new))
            is_better = is_better & less(sum_qx * sum_qx * new_q2, new_qx * new_qx * sum_q2)
            q[i] = select(is_better, as_byte(new), old)
            sum_qx, sum_q2 = select(is_better, new_qx, sum_qx), select(is_better, new_q2, sum_q2)
            is_changed |= any_lane(is_better)
        n_passes += 1
    return 3.0 * select(less(f32x16(0.0), sum_q2), sum_qx / sum_q2, f32x16(0.0))


@inlined
def as_byte(q):
    return to_float(to_int(q) & 255)


FIT = magnitude_fit(32, 8, by_importance(1), has_even_signs=True, n_trials=6, delta=0.1, redo="all", reach=reach)
WEIGHTED = Packing(256, 66, UNITS, quantize, is_weighted=True, tables=partial(search_table, "iq2_xxs"))
IQ2_XXS = QuantType(GGMLType.IQ2_XXS, LAYOUT, dequantize, None, WEIGHTED, needs_imatrix=True)


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


TILE = Tile(256, 66, UNITS, 32, 32, has_min=False, bias=BIAS, scales=tile_scales, part=part)
