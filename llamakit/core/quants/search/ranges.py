"""The search for a scale and a minimum: x = scale * q - minimum."""

from __future__ import annotations

from typing import Any

from llamakit.core.quants.search.groups import largest, smallest
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import clamp, less, select, vabs, vround
from llamakit.core.simd.records import f32, f32x16


def range_search(n: int, n_max: int, stretches: tuple[float, float, int], use_mad: bool = False) -> Any:
    """The helper that fits groups of n values with n_max + 1 levels (ggml's make_qkx2 and make_qkx3).

    `stretches` are r_min, r_delta, n_steps: the levels come from n_steps + 1 stretches of the range, by
    (n_max + r_min + r_delta * step) / (max - min) each; scale and minimum from the weighted regression over them; the
    least weighted square error wins (or absolute, with `use_mad`). `fit(x, weights, levels)` leaves levels, as floats
    in 0..n_max, and returns scale and minimum, which is not negative; scale and levels are zero in groups without a
    range.
    """
    r_min, r_delta, n_steps = stretches

    @inlined
    def distance(diff):
        return vabs(diff) if use_mad else diff * diff

    @helper
    def fit(x, weights, levels):
        floor, top = smallest(x, n), largest(x, n)
        floor = select(less(f32x16(0.0), floor), f32x16(0.0), floor)
        has_range = less(floor, top)
        best_inverse, best_floor = f32(n_max) / (top - floor), floor  # what the best levels came from
        scale = 1.0 / best_inverse
        sum_w, sum_x, best_error = f32x16(0.0), f32x16(0.0), f32x16(0.0)
        for i in range(n):
            level = clamp(vround(best_inverse * (x[i] - floor)), 0.0, n_max)
            best_error = best_error + weights[i] * distance(scale * level + floor - x[i])
            sum_w, sum_x = sum_w + weights[i], sum_x + weights[i] * x[i]
        for step in range(n_steps + 1):
            # A better minimum moves the ranges of the steps after it.
            inverse = (f32(r_min) + f32(r_delta) * f32(step) + f32(n_max)) / (top - floor)
            sum_l, sum_l2, sum_xl = f32x16(0.0), f32x16(0.0), f32x16(0.0)
            for i in range(n):
                level = clamp(vround(inverse * (x[i] - floor)), 0.0, n_max)
                levels[i] = level
                weighted = weights[i] * level
                sum_l, sum_l2, sum_xl = sum_l + weighted, sum_l2 + weighted * level, sum_xl + weighted * x[i]
            # Regression of x over the levels by Cramer's rule.
            determinant = sum_w * sum_l2 - sum_l * sum_l
            new_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant
            new_floor = (sum_l2 * sum_x - sum_l * sum_xl) / determinant
            is_above = less(f32x16(0.0), new_floor)
            new_scale = select(is_above, sum_xl / sum_l2, new_scale)
            new_floor = select(is_above, f32x16(0.0), new_floor)
            error = f32x16(0.0)
            for i in range(n):
                error = error + weights[i] * distance(new_scale * levels[i] + new_floor - x[i])
            is_better = less(f32x16(0.0), determinant) & less(error, best_error)
            best_error = select(is_better, error, best_error)
            best_inverse, best_floor = select(is_better, inverse, best_inverse), select(is_better, floor, best_floor)
            scale, floor = select(is_better, new_scale, scale), select(is_better, new_floor, floor)
        for i in range(n):
            level = clamp(vround(best_inverse * (x[i] - best_floor)), 0.0, n_max)
            levels[i] = select(has_range, level, f32x16(0.0))
        return select(has_range, scale, f32x16(0.0)), floor * -1.0

    return fit
