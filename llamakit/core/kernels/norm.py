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
def inverse_rms(x, n, n_padded, eps):
    """1 / sqrt(mean(x^2) + eps).   x: n floats, then zeros up to n_padded, a multiple of 16"""
    x = view(x, f32x16)
    total = f32x16(0)
    for i in range(n_padded // 16):
        total = fma(x[i], x[i], total)
    return f32(1) / sqrt(sum_lanes(total) / f32(n) + eps)


@kernel(RmsNorm)
def rms_norm(op, thread, n_threads):
    """out = x / sqrt(mean(x^2) + eps) * weight (+ residual).   x, out: (n_rows, pitch)"""
    pitch = op.pitch
    weight = view(op.weight, f32x16)
    first, last = share(op.n_rows[0], thread, n_threads)
    for row in range(first, last):
        x, out = view(op.x + row * pitch, f32x16), view(op.out + row * pitch, f32x16)
        scale = inverse_rms(op.x + row * pitch, op.n, pitch, op.eps)
        for i in range(pitch // 16):
            value = x[i] * scale * weight[i]
            if is_null(op.residual) == 0:
                value = value + view(op.residual + row * pitch, f32x16)[i]
            out[i] = value
