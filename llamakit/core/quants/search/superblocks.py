"""The fits of the K types: 256 values in sub-blocks, whose scales (and minimums) are themselves small integers.

First every sub-block is fitted alone, then its scale is rounded to an integer times the superblock's `d`, and at last
the values are quantized anew with the scales as stored.
"""

from __future__ import annotations

from typing import Any

from llamakit.core.quants.pack_parts import store_half
from llamakit.core.quants.search.groups import peak, total, total_square
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import clamp, less, registers, select, to_int, vabs, vround, vsqrt
from llamakit.core.simd.records import f32, f32x16

QK_K = 256


def range_fit(size: int, n_max: int, weigh: Any, fit: Any, round_scales: Any) -> Any:
    """The helper that fits x = d * scale * q - dmin * min in sub-blocks of `size` values.

    `weigh(blocks, weights)` leaves the weights of all values, `fit` is a `range_search`, and `round_scales(values,
    weights, integers)` makes integers of the scales, and of the minimums, and returns their step. The result:
    `fit_ranges(blocks, tile, q, scales, mins)` leaves integers q (256), scales and mins (one for each sub-block), and
    d and dmin at the front of the tile.
    """
    n_sub = QK_K // size

    @helper
    def fit_ranges(blocks, tile, q, scales, mins):
        weights, levels = registers(f32x16, QK_K), registers(f32x16, QK_K)
        sums, scale, minimum = registers(f32x16, n_sub), registers(f32x16, n_sub), registers(f32x16, n_sub)
        scale_level, min_level = registers(f32x16, n_sub), registers(f32x16, n_sub)
        weigh(blocks, weights)
        for j in range(n_sub):
            place = j * size
            sums[j] = total(weights + place, size)
            scale[j], minimum[j] = fit(blocks.x + place, weights + place, levels + place)
        d = store_half(tile, 0, round_scales(scale, sums, scale_level))
        dmin = store_half(tile, 32, round_scales(minimum, sums, min_level))
        for j in range(n_sub):
            scales[j], mins[j] = to_int(scale_level[j]), to_int(min_level[j])
            step, floor = d * scale_level[j], dmin * min_level[j]
            has_step = less(f32x16(0.0), step)
            for i in range(j * size, (j + 1) * size):
                level = clamp(vround((blocks.x[i] + floor) / step), 0.0, n_max)
                q[i] = to_int(select(has_step, level, levels[i]))

    return fit_ranges


def step_fit(size: int, n_max: int, weigh: Any, fit: Any, round_scales: Any, scale_bias: int = 0) -> Any:
    """The helper that fits x = d * (scale - scale_bias) * (q - n_max) in sub-blocks of `size` values.

    As `range_fit`: `fit_steps(blocks, tile, q, scales)` leaves d at the front of the tile.
    """
    n_sub = QK_K // size

    @helper
    def fit_steps(blocks, tile, q, scales):
        weights, levels = registers(f32x16, QK_K), registers(f32x16, QK_K)
        sums, scale, scale_level = registers(f32x16, n_sub), registers(f32x16, n_sub), registers(f32x16, n_sub)
        weigh(blocks, weights)
        for j in range(n_sub):
            place = j * size
            sums[j] = total(weights + place, size)
            scale[j] = fit(blocks.x + place, weights + place, levels + place)
        d = store_half(tile, 0, round_scales(scale, sums, scale_level))
        for j in range(n_sub):
            scales[j] = to_int(scale_level[j])
            step = d * (scale_level[j] - f32(scale_bias))
            has_step = less(f32x16(0.0), vabs(step))
            for i in range(j * size, (j + 1) * size):
                level = clamp(vround(blocks.x[i] / step), -n_max, n_max - 1) + f32(n_max)
                q[i] = to_int(select(has_step, level, levels[i]))

    return fit_steps


def round_to_largest(n: int, n_max: int) -> Any:
    """The helper that makes n values step * integers, the largest n_max; all zero without a positive value."""

    @helper
    def round_scales(values, weights, integers):
        top = f32x16(0.0)
        for j in range(n):
            top = select(less(top, values[j]), values[j], top)
        inverse = select(less(f32x16(0.0), top), f32(n_max) / top, f32x16(0.0))
        for j in range(n):
            integers[j] = clamp(vround(inverse * values[j]), 0.0, n_max)
        return top / f32(n_max)

    return round_scales


def round_to_peak(n: int, n_max: int, bias: int, flat: float = 0.0) -> Any:
    """The helper that makes n values step * (integers - bias), the one of largest magnitude at -n_max.

    All zero where that is zero, or below `flat`.
    """

    @helper
    def round_scales(values, weights, integers):
        top = peak(values, n)
        inverse = f32(-n_max) / top
        for j in range(n):
            level = clamp(vround(inverse * values[j]), -n_max, n_max - 1) + f32(bias)
            integers[j] = zero_if_flat(level, top)
        return zero_if_flat(1.0 / inverse, top)

    @inlined
    def zero_if_flat(level, top):
        is_used = less(f32x16(0.0), vabs(top))
        return select(less(vabs(top), f32x16(flat)), f32x16(0.0), select(is_used, level, f32x16(0.0)))

    return round_scales


# weights without an importance matrix
@helper
def by_magnitude(blocks, weights):
    """|x|"""
    for i in range(QK_K):
        weights[i] = vabs(blocks.x[i])


@helper
def by_magnitude_and_size(blocks, weights):
    """|x| + the root of the mean square of its sub-block of 32"""
    for place in range(0, QK_K, 32):
        size = vsqrt(total_square(blocks.x + place, 32) / 32.0)
        for i in range(place, place + 32):
            weights[i] = size + vabs(blocks.x[i])


@helper
def by_square(blocks, weights):
    for i in range(QK_K):
        weights[i] = blocks.x[i] * blocks.x[i]


# and with one
def by_importance(factor: int) -> Any:
    """The helper for importance * sqrt(factor * mean square of the superblock + x^2)."""

    @helper
    def weigh(blocks, weights):
        mean_square = f32(factor) * total_square(blocks.x, QK_K) / 256.0
        for i in range(QK_K):
            weights[i] = blocks.importance[i] * vsqrt(mean_square + blocks.x[i] * blocks.x[i])

    return weigh


@helper
def by_importance_alone(blocks, weights):
    for i in range(QK_K):
        weights[i] = blocks.importance[i]
