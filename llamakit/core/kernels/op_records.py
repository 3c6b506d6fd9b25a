"""One record per kernel: what a kernel may know. Filled by `graph/lower.py`, read by the kernels."""
from __future__ import annotations

from llamakit.core.simd.records import Ptr, Record, f32, i64


class RmsNorm(Record):
    x: Ptr[f32]
    weight: Ptr[f32]
    residual: Ptr[f32]
    out: Ptr[f32]
    n_rows: Ptr[i64]
    n: i64
    pitch: i64
    eps: f32
