"""Points of a grid for groups of values: the point at some levels, or else the best of its neighbours.

A point is an int, as `neighbours.py` makes them: its index in the grid times 2^16, plus its code. One that stands for
levels that are not in the grid has bit 31 set as well.
"""

from __future__ import annotations

from typing import Any

from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import (
    as_int,
    lane_numbers,
    less_i32,
    min_lanes_i32,
    pick_of_8,
    registers,
    repeat_f32,
    select_i32,
    to_int,
    view,
    vmin_i32,
)
from llamakit.core.simd.records import f32, f32x16, i32, i32x16

MOVED = -0x80000000  # bit 31: levels not in the grid
LARGEST = 0x7F7FFFFF  # bits of the largest float


def level_bits(width: int) -> int:
    """Bits of a level in the code of a point of `width` values."""
    return 2 if width == 8 else 3


@inlined
def index_of(point):
    return (point >> 16) & 0x7FFF


@inlined
def low_bytes_of_indices(points, n_bits):
    """The low bytes of four indices as a word, and their `n_bits` high bits side by side."""
    word, high = i32x16(0), i32x16(0)
    for k in range(4):
        index = index_of(points[k])
        word = word | ((index & 255) << (8 * k))
        high = high | ((index >> 8) << (n_bits * k))
    return word, high


def level_of(width: int) -> Any:
    """The helper for level i of points."""
    bits = level_bits(width)
    mask = (1 << bits) - 1

    @inlined
    def level(point, i):
        return (point >> (bits * i)) & mask

    return level


def point_search(width: int, n_levels: int) -> Any:
    """The helper that finds points of `width` values; `table` is a `search_table`.

    `find(table, keys, n, x, weights, scales, steps, points)`: for n vectors of keys the points of those keys, or of a
    point's neighbours the one with least sum of weights * (scale * step of its level - x)^2, the first of equals.
    x, weights: n * width vectors; scales: one; steps: for each of the sixteen groups a vector of the steps of levels,
    which repeats after eight lanes.
    """
    bits = level_bits(width)
    n_keys = -(-(n_levels**width) // 16) * 16

    @helper
    def nearest(lists, n_vectors, x, weights, scaled):
        """x, weights: the addresses of one group's first value; the others lie 16 floats apart."""
        terms = registers(f32x16, 8)
        for i in range(width):
            diff = scaled - repeat_f32(x + 16 * i)
            terms[i] = repeat_f32(weights + 16 * i) * diff * diff
        best, best_place = i32x16(LARGEST), i32x16(0)
        place = to_int(lane_numbers())
        for v in range(n_vectors):
            found = lists[v]
            distance = pick_of_8(terms[0], found)
            for i in range(1, width):
                distance = distance + pick_of_8(terms[i], found >> (bits * i))
            size = as_int(distance)  # not negative: ordered as its bits
            best_place = select_i32(less_i32(size, best), place, best_place)
            best = vmin_i32(size, best)
            place = place + 16
        least = i32x16(min_lanes_i32(best))
        first = min_lanes_i32(select_i32(less_i32(least, best), i32x16(LARGEST), best_place))
        return view(lists, i32)[first]

    @helper
    def find(table, keys, n, x, weights, scales, steps, points):
        entries, lists = view(table, i32), view(view(table, i32) + n_keys, i32x16)
        for k in range(n):
            for lane in range(16):
                point = entries[view(keys, i32)[16 * k + lane]]
                if point < 0:
                    place = ~point
                    at = 16 * width * k + lane
                    scaled = steps[lane] * view(scales, f32)[lane]
                    found = nearest(
                        lists + (place >> 8), place & 255, view(x, f32) + at, view(weights, f32) + at, scaled
                    )
                    point = MOVED | found
                view(points, i32)[16 * k + lane] = point

    return find
