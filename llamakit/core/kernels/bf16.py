"""Rows of x as bf16, two columns to a word: what 16-bit weights are multiplied with."""

from __future__ import annotations

from llamakit.core.kernels.kernel import kernel, share
from llamakit.core.kernels.norm import inverse_rms
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import is_null, view
from llamakit.core.simd.records import Ptr, Record, bf16x16, f32, f32x16, i8, i64


class Round(Record):
    """Rows of x, normed unless `norm` is null, rounded to nearest even."""

    x: Ptr[f32]
    norm: Ptr[f32]
    out: Ptr[i8]  # (n_rows, pitch) bf16
    n_rows: Ptr[i64]
    n: i64  # columns
    pitch: i64  # of x and out, in numbers: a multiple of 16
    eps: f32


@helper
def round_row(x, norm, n, pitch, eps, out):
    """out = bf16(norm(x))"""
    is_normed = is_null(norm) == 0
    scale = inverse_rms(x, n, pitch, eps) if is_normed else f32(1)
    x, norm, out = view(x, f32x16), view(norm, f32x16), view(out, bf16x16)
    for i in range(pitch // 16):
        value = x[i] * scale
        if is_normed:
            value = value * norm[i]
        out[i] = value


@kernel(Round)
def rows(op, thread, n_threads):
    first, last = share(op.n_rows[0], thread, n_threads)
    for row in range(first, last):
        round_row(op.x + row * op.pitch, op.norm, op.n, op.pitch, op.eps, op.out + row * op.pitch * 2)
