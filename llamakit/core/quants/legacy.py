"""The fits of the legacy blocks of 32: a scale alone (Q4_0, Q5_0) or a scale and a minimum (Q4_1, Q5_1).

Without an imatrix the extremes of a block decide; with one, a search weighs each error with the importance of its
column and the size of its value.
"""

from __future__ import annotations

import numpy as np

from llamakit.core.quants.base import Bytes, Floats
from llamakit.core.quants.scales import columns, divide, make_qkx, make_qx, peak, repeat_rows, smallest, total


def fit_scale(rows: Floats, imatrix: Floats | None, n_max: int) -> tuple[Floats, Bytes]:
    """x = d * (q - n_max).   (n_rows, n) -> d (n_blocks,), q (n_blocks, 32) in 0..2 * n_max - 1"""
    x = columns(rows, 32)
    if imatrix is not None:
        d, q = make_qx(x, importance(rows, x, imatrix), n_max)
    else:
        d = peak(x) / np.float32(-n_max)
        q = np.minimum(np.trunc(x * divide(1, d) + np.float32(n_max + 0.5)), 2 * n_max - 1)
    return d, q.T.astype(np.uint8)


def fit_range(rows: Floats, imatrix: Floats | None, n_max: int) -> tuple[Floats, Floats, Bytes]:
    """x = d * q + m.   (n_rows, n) -> d (n_blocks,), m (n_blocks,), q (n_blocks, 32) in 0..n_max"""
    x = columns(rows, 32)
    if imatrix is not None:
        d, minimum, q = make_qkx(x, importance(rows, x, imatrix), n_max, r_min=-0.9, r_delta=0.05, n_steps=36)
        m = -minimum
    else:
        m = smallest(x)
        d = (x.max(axis=0) - m + np.float32(0)) / np.float32(n_max)  # never a negative zero
        q = np.minimum(np.trunc((x - m) * divide(1, d) + np.float32(0.5)), n_max)
    return d, m, q.T.astype(np.uint8)


def importance(rows: Floats, x: Floats, imatrix: Floats) -> Floats:
    """importance * sqrt(mean square of the row + x^2).   (n_rows, n), (32, n_blocks), (n,) -> (32, n_blocks)"""
    n = rows.shape[1]
    mean_square = total(columns(rows * rows, n)) / n
    weights: Floats = repeat_rows(imatrix, *x.shape) * np.sqrt(np.repeat(mean_square, n // 32) + x * x)
    return weights
