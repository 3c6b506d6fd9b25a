"""The search for a signed scale: x = scale * (q - n_max)."""

from __future__ import annotations

from typing import Any

from llamakit.core.quants.search.groups import FLAT, peak
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import clamp, less, select, vabs, vround
from llamakit.core.simd.records import f32, f32x16


def step_search(n: int, n_max: int) -> Any:
    """The helper that fits groups of n values (ggml's make_qx): of 19 scales around the one that puts the peak at
    -n_max, the one of least weighted square error.

    `fit(x, weights, levels)` leaves levels, as floats in 0..2 * n_max - 1, and returns the scale, which may be
    negative; both are zero in flat groups.
    """

    @helper
    def sums(x, weights, inverse):
        sum_lx, sum_l2 = f32x16(0.0), f32x16(0.0)
        for i in range(n):
            level = clamp(vround(inverse * x[i]), -n_max, n_max - 1)
            sum_lx, sum_l2 = sum_lx + weights[i] * x[i] * level, sum_l2 + weights[i] * level * level
        return sum_lx, sum_l2

    @helper
    def fit(x, weights, levels):
        top = peak(x, n)
        inverse = f32(-n_max) / top
        sum_lx, sum_l2 = sums(x, weights, inverse)
        scale = select(less(f32x16(0.0), sum_l2), sum_lx / sum_l2, f32x16(0.0))
        best = scale * sum_lx
        for step in range(-9, 10):
            if step != 0:
                trial = -(f32(n_max) + f32(0.1) * f32(step)) / top
                sum_lx, sum_l2 = sums(x, weights, trial)
                is_better = less(f32x16(0.0), sum_l2) & less(best * sum_l2, sum_lx * sum_lx)
                scale = select(is_better, sum_lx / sum_l2, scale)
                best = select(is_better, scale * sum_lx, best)
                inverse = select(is_better, trial, inverse)
        is_flat = less(vabs(top), f32x16(FLAT))
        for i in range(n):
            level = clamp(vround(inverse * x[i]), -n_max, n_max - 1) + f32(n_max)
            levels[i] = select(is_flat, f32x16(0.0), level)
        return select(is_flat, f32x16(0.0), scale)

    return fit
