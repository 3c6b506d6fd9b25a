"""The search of the IQ2 and IQ3 types: |x| = scale * (2 level + 1), eight or four levels a point of a grid."""

from __future__ import annotations

from typing import Any

from llamakit.core.quants.search.groups import FLAT, largest
from llamakit.core.quants.search.points import MOVED, level_of, point_search
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import (
    any_lane,
    lane_numbers,
    less,
    less_i32,
    registers,
    select,
    select_i32,
    to_float,
    to_int,
    vabs,
    vmax_i32,
    vmin_i32,
    vround,
    vsqrt,
)
from llamakit.core.simd.records import f32, f32x16, i32x16


def magnitude_search(size: int, width: int, n_trials: int, delta: float, redo: str) -> Any:
    """The helper that fits groups of `size` values with points of `width` values, 3 levels (of 8) or 8 (of 4).

    `fit(x, weights, reach, is_flat, table, points, signs)`: of 2 n_trials + 1 scales around the one that puts `reach`
    at the highest level, that of least weighted square error; then, with it, the points once more: "all" of them, all
    of "moved groups", or only "moved points". Leaves the points and returns the scale, made positive by a change of
    `signs`, eight bits for eight values. All three are zero in flat groups.
    """
    n_points, n_levels = size // width, 3 if width == 8 else 8
    top = 2 * n_levels - 1
    highest_level = 3 if width == 8 else 7
    start = MOVED if redo == "moved groups" else 0
    find, level = point_search(width, n_levels), level_of(width)

    @helper
    def points_at(x, roots, inverse, scale, table, steps, points):
        keys, scales = registers(i32x16, 8), registers(f32x16, 1)
        for k in range(n_points):
            key = i32x16(0)
            for j in range(width):
                i = width * k + width - 1 - j
                nearest = to_int(vround(0.5 * (inverse * x[i] - 1.0)))
                key = key * n_levels + vmin_i32(vmax_i32(nearest, i32x16(0)), i32x16(n_levels - 1))
            keys[k] = key
        scales[0] = scale
        find(table, keys, n_points, x, roots, scales, steps, points)

    @helper
    def sums(x, weights, points):
        sum_qx, sum_q2 = f32x16(0.0), f32x16(0.0)
        for k in range(n_points):
            for i in range(width):
                q = to_float(level(points[k], i) * 2 + 1)
                weight = weights[width * k + i]
                sum_qx = sum_qx + weight * x[width * k + i] * q
                sum_q2 = sum_q2 + weight * q * q
        return sum_qx, sum_q2

    @helper
    def fit(x, weights, reach, is_flat, table, points, signs):
        zero = f32x16(0.0)
        tried, roots = registers(i32x16, 8), registers(f32x16, 32)
        steps = registers(f32x16, 16)
        for lane in range(16):
            steps[lane] = to_float((to_int(lane_numbers()) & highest_level) * 2 + 1)
        for i in range(size):
            roots[i] = vsqrt(weights[i])
        scale, best = reach / f32(top), zero
        for k in range(n_points):
            points[k] = i32x16(start)
        for trial in range(-n_trials, n_trials + 1):
            inverse = (f32(top) + f32(trial) * f32(delta)) / reach
            points_at(x, roots, inverse, 1.0 / inverse, table, steps, tried)
            sum_qx, sum_q2 = sums(x, weights, tried)
            is_better = less(zero, sum_q2) & less(best * sum_q2, sum_qx * sum_qx)
            scale = select(is_better, sum_qx / sum_q2, scale)
            best = select(is_better, scale * sum_qx, best)
            for k in range(n_points):
                points[k] = select_i32(is_better, tried[k], points[k])
        moved = i32x16(0)
        for k in range(n_points):
            moved = moved | points[k]
        is_open = less(zero, scale) & (i32x16(-1) if redo == "all" else less_i32(moved, i32x16(0)))
        if any_lane(is_open) != 0:
            points_at(x, roots, 1.0 / scale, scale, table, steps, tried)
            for k in range(n_points):
                is_redone = is_open & less_i32(points[k], i32x16(0)) if redo == "moved points" else is_open
                points[k] = select_i32(is_redone, tried[k], points[k])
            sum_qx, sum_q2 = sums(x, weights, points)
            scale = select(is_open & less(zero, sum_q2), sum_qx / sum_q2, scale)
        is_negative = less(scale, zero)
        for k in range(size // 8):
            signs[k] = select_i32(is_flat, i32x16(0), signs[k] ^ (is_negative & 255))
        for k in range(n_points):
            points[k] = select_i32(is_flat, i32x16(0), points[k])
        return select(is_flat, zero, vabs(scale))

    return fit


def magnitude_fit(
    size: int,
    width: int,
    weigh: Any,
    *,
    has_even_signs: bool,
    n_trials: int,
    delta: float,
    redo: str,
    flat: float = FLAT,
    reach: Any = None,
) -> Any:
    """The helper that fits blocks of 256 values: see `magnitude_search`.

    `weigh(blocks, weights)` leaves the weights; `reach(x, weights)` says what to put at the highest level, if not the
    largest value. Values below `flat` count as none. `fit(blocks, scales, points, signs)` leaves a scale for each
    group, points, and signs, a byte for eight values.
    """
    search = magnitude_search(size, width, n_trials, delta, redo)

    @inlined
    def reach_of(x, weights):
        return largest(x, size) if reach is None else reach(x, weights)

    @helper
    def fit(blocks, scales, points, signs):
        weights, values = registers(f32x16, 256), registers(f32x16, 256)
        weigh(blocks, weights)
        split_signs(blocks.x, values, signs)
        if has_even_signs:
            make_signs_even(blocks.x, weights, values, signs)
        for j in range(256 // size):
            x, w = values + size * j, weights + size * j
            top = reach_of(x, w)
            is_flat = less(largest(x, size), f32x16(flat)) | (less(f32x16(0.0), top) ^ -1)
            at = size // width * j
            scales[j] = search(x, w, top, is_flat, blocks.table, points + at, signs + size // 8 * j)

    return fit


@inlined
def sign_bit(x, i):
    """Bit i where x is negative, else 0."""
    return less(x, f32x16(0.0)) & (1 << i)


@helper
def split_signs(x, values, signs):
    """Magnitudes, and the minus signs of every eight as bits."""
    for k in range(32):
        bits = i32x16(0)
        for i in range(8):
            bits = bits | sign_bit(x[8 * k + i], i)
            values[8 * k + i] = vabs(x[8 * k + i])
        signs[k] = bits


@helper
def make_signs_even(x, weights, values, signs):
    """Of eight values with an odd number of minuses the one of least weight * x^2 takes the wrong sign, and a negative
    magnitude."""
    for k in range(32):
        least, place = weights[8 * k] * x[8 * k] * x[8 * k], i32x16(1)
        parity = signs[k]
        for i in range(1, 8):
            cost = weights[8 * k + i] * x[8 * k + i] * x[8 * k + i]
            is_less = less(cost, least)
            least, place = select(is_less, cost, least), select_i32(is_less, i32x16(1 << i), place)
            parity = parity ^ (signs[k] >> i)
        place = select_i32(less_i32(i32x16(0), parity & 1), place, i32x16(0))  # the bit of the value that gives way
        for i in range(8):
            is_wrong = less_i32(i32x16(0), place & (1 << i))
            values[8 * k + i] = select(is_wrong, values[8 * k + i] * -1.0, values[8 * k + i])
        signs[k] = signs[k] ^ place


@helper
def quantize_scales(scales, n, n_max, integers):
    """scale = d * (2 integer + 1), the largest integer n_max. Leaves integers in 0..n_max and returns d."""
    top = f32x16(0.0)
    for j in range(n):
        top = select(less(top, scales[j]), scales[j], top)
    d = top / f32(2 * n_max + 1)
    inverse = 1.0 / d
    for j in range(n):
        nearest = to_int(vround(0.5 * (inverse * scales[j] - 1.0)))
        integers[j] = vmin_i32(vmax_i32(nearest, i32x16(0)), i32x16(n_max))
    return d


@inlined
def sevens_and_scale(signs, integer):
    """The lowest seven of each of four bytes of signs, and above them an integer of 4 bits."""
    word = integer << 28
    for k in range(4):
        word = word | ((signs[k] & 127) << (7 * k))
    return word
