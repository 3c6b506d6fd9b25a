"""The search for the scale of IQ4_NL and IQ4_XS: x = scale * codebook[q], in groups of 32."""

from __future__ import annotations

from functools import cache

import numpy as np

from llamakit.core.quants.base import Bytes
from llamakit.core.quants.iq4 import CODEBOOK
from llamakit.core.quants.search.groups import FLAT, peak
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import less, pick, select, select_i32, vabs, view
from llamakit.core.simd.records import f32, f32x16, i32x16

N = 32
LOWEST = int(CODEBOOK[0])


@cache
def codebook_tables() -> Bytes:
    """Two vectors of floats: the codebook, and the border above each value but the last."""
    values = CODEBOOK.astype(np.float32)
    borders = np.append((values[:-1] + values[1:]) / 2, np.float32(0))
    return np.concatenate([values, borders]).view(np.uint8)


@inlined
def nearest(x, borders):
    """The index of the value nearest to x; at a border, the one above."""
    code = i32x16(0)
    for step in (8, 4, 2, 1):
        above = code + i32x16(step)
        code = select_i32(less(x, pick(borders, above - i32x16(1))), code, above)
    return code


@helper
def nearest_codes(x, inverse, table, q):
    borders = view(table, f32x16)[1]
    for i in range(N):
        q[i] = nearest(inverse * x[i], borders)


@helper
def codebook_sums(x, weights, inverse, table):
    values, borders = view(table, f32x16)[0], view(table, f32x16)[1]
    sum_vx, sum_v2 = f32x16(0.0), f32x16(0.0)
    for i in range(N):
        value = pick(values, nearest(inverse * x[i], borders))
        weighted = weights[i] * value
        sum_vx, sum_v2 = sum_vx + weighted * x[i], sum_v2 + weighted * value
    return sum_vx, sum_v2


@helper
def codebook_search(x, weights, table):
    """The scale of least weighted square error, of 16 around the one that fits the peak; zero in flat groups."""
    top = peak(x, N)
    sum_vx, sum_v2 = codebook_sums(x, weights, 1.0 / (top * -1.0 / f32(LOWEST)), table)
    scale = select(less(f32x16(0.0), sum_v2), sum_vx / sum_v2, f32x16(0.0))
    best = scale * sum_vx
    for step in range(-7, 8):
        sum_vx, sum_v2 = codebook_sums(x, weights, f32(step + LOWEST) / top, table)
        is_better = less(f32x16(0.0), sum_v2) & less(best * sum_v2, sum_vx * sum_vx)
        scale = select(is_better, sum_vx / sum_v2, scale)
        best = select(is_better, scale * sum_vx, best)
    return select(less(vabs(top), f32x16(FLAT)), f32x16(0.0), scale)
