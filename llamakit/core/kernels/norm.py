"""Root-mean-square norm."""

from __future__ import annotations

from llamakit.core.kernels.kernel import kernel, share
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import fma, is_null, sqrt, sum_lanes, view
from llamakit.core.simd.records import Ptr, Record, f32, f32x16, i64


class RmsNorm(Record):
    """Rows of n floats, `pitch` apart (a multiple of 16; zeros fill up); `weight` too is filled up with zeros."""

    x: Ptr[f32]
    weight: Ptr[f32]
    residual: Ptr[f32]  # added if not null
    out: Ptr[f32]
    n_rows: Ptr[i64]
    n: i64
    pitch: i64
    eps: f32


@helper
def inverse_rms(x, n, pitch, eps):
    """1 / sqrt(mean(x^2) + eps).   x: n floats, then zeros up to `pitch`, a multiple of 16"""
    x = view(x, f32x16)
    total = f32x16(0)
    for i in range(pitch // 16):
        total = fma(x[i], x[i], total)
    return f32(1) / sqrt(sum_lanes(total) / f32(n) + eps)


@helper
def norm_row(x, weight, n, pitch, eps, out):
    """out = x / sqrt(mean(x^2) + eps) * weight"""
    scale = inverse_rms(x, n, pitch, eps)
    x, weight, out = view(x, f32x16), view(weight, f32x16), view(out, f32x16)
    for i in range(pitch // 16):
        out[i] = x[i] * scale * weight[i]


@kernel(RmsNorm)
def rms_norm(op, thread, n_threads):
    """out = norm(x) (+ residual), which may be one place.   x, residual, out: (n_rows, pitch)"""
    pitch = op.pitch
    first, last = share(op.n_rows[0], thread, n_threads)
    for row in range(first, last):
        x, out = op.x + row * pitch, op.out + row * pitch
        if is_null(op.residual) != 0:
            norm_row(x, op.weight, op.n, pitch, op.eps, out)
        else:
            add_norm_row(x, op.weight, op.n, pitch, op.eps, op.residual + row * pitch, out)


@helper
def add_norm_row(x, weight, n, pitch, eps, residual, out):
    """out = residual + x / sqrt(mean(x^2) + eps) * weight"""
    scale = inverse_rms(x, n, pitch, eps)
    x, weight, residual, out = view(x, f32x16), view(weight, f32x16), view(residual, f32x16), view(out, f32x16)
    for i in range(pitch // 16):
        out[i] = residual[i] + x[i] * scale * weight[i]
