"""The fits of the legacy blocks of 32: a scale alone (Q4_0, Q5_0) or a scale and a minimum (Q4_1, Q5_1).

Without an imatrix the extremes of a block decide; with one, a search weighs each error with the importance of its
column and the size of its value. A fit leaves integers q (32), and the f16 scale and minimum at the front of the tile.
"""

from __future__ import annotations

from typing import Any

from llamakit.core.quants.pack_parts import store_half
from llamakit.core.quants.search.groups import inverse, largest, peak, smallest
from llamakit.core.quants.search.ranges import range_search
from llamakit.core.quants.search.steps import step_search
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import registers, to_int, vmin_i32, vsqrt
from llamakit.core.simd.records import f32, f32x16, i32x16

N = 32


@inlined
def whole(x, n_max):
    """x toward zero, at most n_max; 0 where x is no number, or too large for one."""
    return vmin_i32(to_int(x), i32x16(n_max)) & n_max


def extreme_scale(n_max: int) -> Any:
    """The helper for x = d * (q - n_max), the value of largest magnitude at -n_max."""

    @helper
    def fit(blocks, tile, q):
        d = peak(blocks.x, N) / f32(-n_max)
        scale = inverse(d)
        store_half(tile, 0, d)
        for i in range(N):
            q[i] = whole(blocks.x[i] * scale + (f32(n_max) + f32(0.5)), 2 * n_max - 1)

    return fit


def extreme_range(n_max: int) -> Any:
    """The helper for x = d * q + m, the smallest at 0 and the largest at n_max."""

    @helper
    def fit(blocks, tile, q):
        low = smallest(blocks.x, N)
        d = (largest(blocks.x, N) - low) / f32(n_max)
        scale = inverse(d)
        store_half(tile, 0, d)
        store_half(tile, 32, low)
        for i in range(N):
            q[i] = whole((blocks.x[i] - low) * scale + 0.5, n_max)

    return fit


def weighted_scale(n_max: int) -> Any:
    """The helper for x = d * (q - n_max) with an imatrix."""
    search = step_search(N, n_max)

    @helper
    def fit(blocks, tile, q):
        weights, levels = registers(f32x16, N), registers(f32x16, N)
        weigh(blocks, weights)
        store_half(tile, 0, search(blocks.x, weights, levels))
        for i in range(N):
            q[i] = to_int(levels[i])

    return fit


def weighted_range(n_max: int) -> Any:
    """The helper for x = d * q + m with an imatrix."""
    search = range_search(N, n_max, (-0.9, 0.05, 36))

    @helper
    def fit(blocks, tile, q):
        weights, levels = registers(f32x16, N), registers(f32x16, N)
        weigh(blocks, weights)
        d, minimum = search(blocks.x, weights, levels)
        store_half(tile, 0, d)
        store_half(tile, 32, minimum * -1.0)
        for i in range(N):
            q[i] = to_int(levels[i])

    return fit


@helper
def weigh(blocks, weights):
    """importance * sqrt(mean square of the row + x^2)"""
    for i in range(N):
        weights[i] = blocks.importance[i] * vsqrt(blocks.mean_square[0] + blocks.x[i] * blocks.x[i])
