"""Norms: root mean square of whole rows, and the general one of groups in a row."""

from __future__ import annotations

from llamakit.core.kernels.kernel import kernel, share
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import fma, is_null, registers, sqrt, sum_lanes, view
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


class GroupNorm(Record):
    """Each row's n_groups parts of n floats are normed by themselves; zeros fill up rows."""

    x: Ptr[f32]
    weight: Ptr[f32]  # (n,), or (n_groups, weight_step); null: none
    bias: Ptr[f32]
    out: Ptr[f32]
    n_rows: Ptr[i64]
    n: i64
    n_groups: i64
    pitch: i64
    weight_step: i64  # 0: one weight for all groups
    is_centered: i64  # 1: the mean is taken off first
    eps: f32


@helper
def load_tail(x, first, n, tail):
    """Numbers first .. n - 1, then zeros, in one vector."""
    tail[0] = f32x16(0)
    for i in range(first, n):
        view(tail, f32)[i - first] = x[i]


@kernel(GroupNorm)
def groups(op, thread, n_threads):
    """out = (x - mean) / sqrt(mean((x - mean)^2) + eps) * weight + bias, or without the mean"""
    tail, n, whole = registers(f32x16, 1), op.n, op.n // 16 * 16
    first, last = share(op.n_rows[0] * op.n_groups, thread, n_threads)
    for item in range(first, last):
        row, group = item // op.n_groups, item % op.n_groups
        x, out = op.x + (row * op.pitch + group * n), op.out + (row * op.pitch + group * n)
        wide, wide_out = view(x, f32x16), view(out, f32x16)
        mean, total = f32(0), f32x16(0)
        if op.is_centered != 0:
            load_tail(x, whole, n, tail)
            total = tail[0]
            for i in range(whole // 16):
                total = total + wide[i]
            mean = sum_lanes(total) / f32(n)
            total = f32x16(0)
        for i in range(whole // 16):
            y = wide[i] - mean
            total = fma(y, y, total)
        square = sum_lanes(total)
        for i in range(whole, n):
            y = x[i] - mean
            square = square + y * y
        scale = f32(1) / sqrt(square / f32(n) + op.eps)
        weight, bias = op.weight + group * op.weight_step, op.bias + group * op.weight_step
        for i in range(whole // 16):
            y = (wide[i] - mean) * scale
            if is_null(op.weight) == 0:
                y = y * view(weight, f32x16)[i]
            if is_null(op.bias) == 0:
                y = y + view(bias, f32x16)[i]
            wide_out[i] = y
        for i in range(whole, n):
            z = (x[i] - mean) * scale
            if is_null(op.weight) == 0:
                z = z * weight[i]
            if is_null(op.bias) == 0:
                z = z + bias[i]
            out[i] = z
        if group == op.n_groups - 1:
            for i in range(op.n_groups * n, op.pitch):
                op.out[row * op.pitch + i] = f32(0)
