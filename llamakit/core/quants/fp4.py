"""The 4-bit floats (E2M1) of MXFP4 and NVFP4, doubled so that they are whole numbers."""

from __future__ import annotations

import numpy as np

from llamakit.core.quants.base import Bytes, Floats

VALUES = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.int8)
BIAS = 16
LOW, HIGH = (int(word) for word in (VALUES + np.int8(BIAS)).view(np.int64))  # for `look_up`
_BORDERS = np.array([0.5, 1.5, 2.5, 3.5, 5, 7, 10], np.float32)


def nearest_values(x: Floats, scale: Floats) -> Bytes:
    """Index of the value v with scale * v nearest to x; the smaller of a tie, and never the negative zero.

    x: (n_groups, n); scale: (n_groups,), which times a border is exact; where it is zero, so are the indices.
    """
    magnitude = np.where(scale > 0, np.abs(x).T, np.float32(0)).T
    q = np.zeros(x.shape, np.uint8)
    for border in _BORDERS:
        q += magnitude > (border * scale)[:, None]
    is_negative = ((x < 0) & (q > 0)).view(np.uint8)
    return q + np.uint8(8) * is_negative
