"""The fit of the ternary types TQ1_0 and TQ2_0."""

from __future__ import annotations

import numpy as np

from llamakit.core.quants.base import Bytes, Floats
from llamakit.core.quants.scales import divide, round_half_away


def fit_ternary(rows: Floats) -> tuple[Floats, Bytes]:
    """x = d * (q - 1) with d the largest magnitude.   (n_rows, n) -> d (n_blocks,), q (n_blocks, 256) in 0..2"""
    x = rows.reshape(-1, 256)
    d = np.abs(x).max(axis=1)
    q = round_half_away(x * divide(1, d)[:, None]) + np.float32(1)
    return d, q.astype(np.uint8)
