"""The search of the IQ1 types: x = scale * (level - 1 + shift), three levels, a shift of 1/8 up or down.

Sorted by value, a group falls into three runs, one for each level: all pairs of borders are tried with every choice of
shifts. Then every eight levels become a point of the grid.
"""

from __future__ import annotations

from typing import Any

from llamakit.core.quants.search.groups import largest_magnitude
from llamakit.core.quants.search.points import level_of, point_search
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
    view,
)
from llamakit.core.simd.records import f32, f32x16, i32, i32x16

SHIFT = 0.125
# the three levels, shifted up and shifted down
LOW_UP, MIDDLE_UP, HIGH_UP = -1 + SHIFT, SHIFT, 1 + SHIFT
LOW_DOWN, MIDDLE_DOWN, HIGH_DOWN = -1 - SHIFT, -SHIFT, 1 - SHIFT
LOWEST = -3.4028234663852886e38  # of all floats
DIGITS = 8  # bits of a border in a choice
level = level_of(8)
find = point_search(8, 3)


@helper
def rank_values(x, n, ranks):
    """How many values come before each in ascending order; of equals the first comes first."""
    for i in range(n):
        ranks[i] = i32x16(0)
    for i in range(1, n):
        for j in range(i):
            is_before = less(x[i], x[j])  # all ones: -1
            ranks[i] = ranks[i] + 1 + is_before
            ranks[j] = ranks[j] - is_before


@helper
def running_sums(values, ranks, first, last, n, sums):
    """sums[k], k = 0 .. n: of the first k in ascending order, those that are values first .. last - 1 of the group."""
    for k in range(n + 1):
        sums[k] = f32x16(0.0)
    for i in range(first, last):
        for lane in range(16):
            place = view(ranks, i32)[16 * i + lane] + 1
            view(sums, f32)[16 * place + lane] = view(values, f32)[16 * i + lane]
    for k in range(n):
        sums[k + 1] = sums[k] + sums[k + 1]


@inlined
def consider(sum_qx, sum_q2, candidate, best, choice):
    """Takes the candidate where it has the least error so far. best: score and scale."""
    is_better = less(f32x16(0.0), sum_q2) & less(best[0] * sum_q2, sum_qx * sum_qx)
    if any_lane(is_better) != 0:
        best[1] = select(is_better, sum_qx / sum_q2, best[1])
        best[0] = select(is_better, best[1] * sum_qx, best[0])
        choice[0] = select_i32(is_better, i32x16(candidate), choice[0])


@helper
def split_once(n, sums_x, sums_w, best, choice):
    """One shift for the whole group: bit 0 of the choice says whether it is down. Above it, the two borders."""
    high_x_up, high_x_down = registers(f32x16, 33), registers(f32x16, 33)
    high_w_up, high_w_down = registers(f32x16, 33), registers(f32x16, 33)
    for j in range(n + 1):
        rest_x, rest_w = sums_x[n] - sums_x[j], sums_w[n] - sums_w[j]
        high_x_up[j], high_x_down[j] = rest_x * HIGH_UP, rest_x * HIGH_DOWN
        high_w_up[j], high_w_down[j] = rest_w * HIGH_UP * HIGH_UP, rest_w * HIGH_DOWN * HIGH_DOWN
    for i in range(n + 1):
        low_x_up, low_x_down = sums_x[i] * LOW_UP, sums_x[i] * LOW_DOWN
        low_w_up, low_w_down = sums_w[i] * LOW_UP * LOW_UP, sums_w[i] * LOW_DOWN * LOW_DOWN
        for j in range(i, n + 1):
            middle_x = (sums_x[j] - sums_x[i]) * MIDDLE_UP
            middle_w = (sums_w[j] - sums_w[i]) * (MIDDLE_UP * MIDDLE_UP)
            candidate = ((j << DIGITS) | i) << 1
            sum_x, sum_w = low_x_up + middle_x + high_x_up[j], low_w_up + middle_w + high_w_up[j]
            consider(sum_x, sum_w, candidate, best, choice)
            sum_x, sum_w = low_x_down - middle_x + high_x_down[j], low_w_down + middle_w + high_w_down[j]
            consider(sum_x, sum_w, candidate | 1, best, choice)


@helper
def split_by_halves(n, sums_x, sums_w, best, choice):
    """A shift for each half of the group: bits 1 and 0 of the choice say which are down. Above them, the two borders.

    sums: those of the first half, then those of the second. As levels differ by one, x with its levels is the total
    times the highest, minus the sums up to either border.
    """
    up_x, up_w = registers(f32x16, 2), registers(f32x16, 2)
    down_x, down_w = registers(f32x16, 2), registers(f32x16, 2)
    for i in range(n + 1):
        for j in range(i, n + 1):
            for h in range(2):
                x, w = sums_x + h * (n + 1), sums_w + h * (n + 1)
                below = x[i] + x[j]
                up_x[h], down_x[h] = x[n] * HIGH_UP - below, x[n] * HIGH_DOWN - below
                up_w[h] = (
                    w[n] * HIGH_UP * HIGH_UP
                    + w[i] * (LOW_UP * LOW_UP - MIDDLE_UP * MIDDLE_UP)
                    + w[j] * (MIDDLE_UP * MIDDLE_UP - HIGH_UP * HIGH_UP)
                )
                down_w[h] = (
                    w[n] * HIGH_DOWN * HIGH_DOWN
                    + w[i] * (LOW_DOWN * LOW_DOWN - MIDDLE_DOWN * MIDDLE_DOWN)
                    + w[j] * (MIDDLE_DOWN * MIDDLE_DOWN - HIGH_DOWN * HIGH_DOWN)
                )
            candidate = ((j << DIGITS) | i) << 2
            consider(up_x[0] + up_x[1], up_w[0] + up_w[1], candidate, best, choice)
            consider(up_x[0] + down_x[1], up_w[0] + down_w[1], candidate | 1, best, choice)
            consider(down_x[0] + up_x[1], down_w[0] + up_w[1], candidate | 2, best, choice)
            consider(down_x[0] + down_x[1], down_w[0] + down_w[1], candidate | 3, best, choice)


def split_search(size: int, n_shifts: int, flat: float) -> Any:
    """The helper that fits groups of `size` values with points of eight, and one shift or one for each half.

    `fit(x, weights, table, points, downs)` leaves points, and for each shift 1 where it is down, and returns the scale.
    All three are zero in groups whose values are all below `flat`.
    """
    n_points = size // 8
    points_of_shift = n_points // n_shifts

    @inlined
    def split(sums_x, sums_w, best, choice):
        if n_shifts == 1:
            split_once(size, sums_x, sums_w, best, choice)
        else:
            split_by_halves(size, sums_x, sums_w, best, choice)

    @helper
    def best_split(x, weights, ranks, choice):
        weighted, best = registers(f32x16, 32), registers(f32x16, 2)
        sums_x, sums_w = registers(f32x16, 34), registers(f32x16, 34)
        rank_values(x, size, ranks)
        for i in range(size):
            weighted[i] = weights[i] * x[i]
        for h in range(n_shifts):
            first, last = h * size // n_shifts, (h + 1) * size // n_shifts
            running_sums(weighted, ranks, first, last, size, sums_x + h * (size + 1))
            running_sums(weights, ranks, first, last, size, sums_w + h * (size + 1))
        best[0], best[1], choice[0] = f32x16(LOWEST), f32x16(0.0), i32x16(-1)
        split(sums_x, sums_w, best, choice)
        return best[1]

    @helper
    def fit(x, weights, table, points, downs):
        zero = f32x16(0.0)
        ranks, choices, keys = registers(i32x16, 32), registers(i32x16, 1), registers(i32x16, 4)
        scales, steps = registers(f32x16, 1), registers(f32x16, 16)
        scale = best_split(x, weights, ranks, choices)
        choice = choices[0]
        is_negative = less(scale, zero)
        low, high = (choice >> n_shifts) & 255, choice >> (n_shifts + DIGITS)
        for k in range(n_points):
            key = i32x16(0)
            for j in range(8):
                rank = ranks[8 * k + 7 - j]
                found = 2 + less_i32(rank, low) + less_i32(rank, high)
                key = key * 3 + select_i32(is_negative, 2 - found, found)
            keys[k] = key
        scale = vabs(scale)
        scales[0] = scale
        sum_qx, sum_q2, moved = zero, zero, i32x16(0)
        for h in range(n_shifts):
            downs[h] = ((choice >> (n_shifts - 1 - h)) & 1) ^ (is_negative & 1)
            shift = registers(f32x16, 1)
            shift[0] = SHIFT - to_float(downs[h]) * (2 * SHIFT)
            for lane in range(16):
                steps[lane] = to_float(to_int(lane_numbers()) & 3) - 1.0 + view(shift, f32)[lane]
            at = h * points_of_shift
            values, importance = x + 8 * at, weights + 8 * at
            find(table, keys + at, points_of_shift, values, importance, scales, steps, points + at)
            for k in range(points_of_shift):
                moved = moved | points[at + k]
                for i in range(8):
                    q = to_float(level(points[at + k], i)) - 1.0 + shift[0]
                    weighted = importance[8 * k + i] * q
                    sum_qx, sum_q2 = sum_qx + weighted * values[8 * k + i], sum_q2 + weighted * q
        is_new = less_i32(moved, i32x16(0)) & less(zero, sum_qx) & less(zero, sum_q2)
        scale = select(is_new, sum_qx / sum_q2, scale)
        is_flat = less(largest_magnitude(x, size), f32x16(flat)) | less_i32(choice, i32x16(0))
        for k in range(n_points):
            points[k] = select_i32(is_flat, i32x16(0), points[k])
        for h in range(n_shifts):
            downs[h] = select_i32(is_flat, i32x16(0), downs[h])
        return select(is_flat, zero, scale)

    return fit
