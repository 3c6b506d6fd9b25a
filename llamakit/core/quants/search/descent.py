"""Searches that change one level at a time: x = scale * level."""

from __future__ import annotations

from typing import Any

from llamakit.core.quants.search.groups import FLAT, peak
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import any_lane, clamp, less, select, vabs, vmax, vround
from llamakit.core.simd.records import f32, f32x16


def descent(n: int, low: int, high: int) -> Any:
    """The helper that makes each level in turn the best, until five passes are done or nothing changes.

    What is maximized is (sum w x l)^2 / (sum w l^2); `descend(x, weights, levels)` changes the levels, floats in
    low..high, and returns the quotient of the sums, the scale.
    """

    @helper
    def descend(x, weights, levels):
        sum_lx, sum_l2 = f32x16(0.0), f32x16(0.0)
        for i in range(n):
            sum_lx = sum_lx + weights[i] * x[i] * levels[i]
            sum_l2 = sum_l2 + weights[i] * levels[i] * levels[i]
        n_passes, is_changed = 0, 1
        while n_passes < 5 and is_changed != 0:
            is_changed = 0
            for i in range(n):
                weight, weighted_x, old = weights[i], weights[i] * x[i], levels[i]
                rest_lx, rest_l2 = sum_lx - weighted_x * old, sum_l2 - weight * old * old
                new = clamp(vround(x[i] * rest_l2 / rest_lx), low, high)
                new_lx, new_l2 = rest_lx + weighted_x * new, rest_l2 + weight * new * new
                is_better = less(f32x16(0.0), rest_lx) & (less(new, old) | less(old, new))
                is_better = is_better & less(f32x16(0.0), rest_l2 if low == 0 else new_l2)
                is_better = is_better & less(sum_lx * sum_lx * new_l2, new_lx * new_lx * sum_l2)
                levels[i] = select(is_better, new, old)
                sum_lx, sum_l2 = select(is_better, new_lx, sum_lx), select(is_better, new_l2, sum_l2)
                is_changed |= any_lane(is_better)
            n_passes += 1
        return select(less(f32x16(0.0), sum_l2), sum_lx / sum_l2, f32x16(0.0))

    return descend


def signed_descent(n: int, n_max: int) -> Any:
    """The helper that fits x = scale * (q - n_max) with weights x^2, from the levels that fit the peak (make_q3).

    `fit(x, weights, levels)` leaves levels, as floats in 0..2 * n_max - 1, and returns the scale; both zero in flat
    groups. `weights` is written.
    """
    descend = descent(n, -n_max, n_max - 1)

    @helper
    def fit(x, weights, levels):
        top = peak(x, n)
        inverse = f32(-n_max) / top
        for i in range(n):
            weights[i], levels[i] = x[i] * x[i], clamp(vround(inverse * x[i]), -n_max, n_max - 1)
        scale = descend(x, weights, levels)
        is_flat = less(vabs(top), f32x16(FLAT))
        for i in range(n):
            levels[i] = select(is_flat, f32x16(0.0), levels[i] + f32(n_max))
        return select(is_flat, f32x16(0.0), scale)

    return fit


def positive_descent(n: int, n_max: int) -> Any:
    """The helper that fits x = scale * q for x >= 0, from the best of nine scales (ggml's make_qp).

    `fit(x, weights, levels)` leaves levels, as floats in 0..n_max, and returns the scale; both zero in flat groups. A
    negative x, the scale of a sub-block with hardly a column of any importance, becomes 0; in ggml it wraps around a
    byte.
    """
    descend = descent(n, 0, n_max)

    @helper
    def error_of(x, weights, inverse):
        error, scale = f32x16(0.0), 1.0 / inverse
        for i in range(n):
            diff = x[i] - scale * clamp(vround(inverse * x[i]), 0.0, n_max)
            error = error + weights[i] * diff * diff
        return error

    @helper
    def fit(x, weights, levels):
        top = f32x16(0.0)
        for i in range(n):
            top = vmax(top, x[i])
        inverse = f32(n_max) / top
        best_error = error_of(x, weights, inverse)
        for step in range(-4, 5):
            if step != 0:
                trial = (f32(0.1) * f32(step) + f32(n_max)) / top
                error = error_of(x, weights, trial)
                is_better = less(error, best_error)
                best_error, inverse = select(is_better, error, best_error), select(is_better, trial, inverse)
        for i in range(n):
            levels[i] = clamp(vround(inverse * x[i]), 0.0, n_max)
        scale = descend(x, weights, levels)
        is_flat = less(top, f32x16(FLAT))
        for i in range(n):
            levels[i] = select(is_flat, f32x16(0.0), levels[i])
        return select(is_flat, f32x16(0.0), scale)

    return fit
