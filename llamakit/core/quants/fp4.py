"""The 4-bit floats (E2M1) of MXFP4 and NVFP4, doubled so that they are whole numbers."""

from __future__ import annotations

import numpy as np

from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import less, less_i32, select, vabs
from llamakit.core.simd.records import f32x16, i32x16

VALUES = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.int8)
BIAS = 16
LOW, HIGH = (int(word) for word in (VALUES + np.int8(BIAS)).view(np.int64))  # for `look_up`


@helper
def nearest_values(x, n, scale, q):
    """Index of the value v with scale * v nearest to each x; the smaller of a tie, and never the negative zero.

    scale times a border is exact; where it is zero, so are the indices.
    """
    zero = f32x16(0.0)
    for i in range(n):
        size = select(less(zero, scale), vabs(x[i]), zero)
        index = i32x16(0)
        for border in (0.5, 1.5, 2.5, 3.5, 5.0, 7.0, 10.0):
            index = index - less(scale * border, size)
        q[i] = index | (less(x[i], zero) & less_i32(i32x16(0), index) & 8)
