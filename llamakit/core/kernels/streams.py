"""Several streams side by side in a row: sums of them with shares, and the shares."""

from __future__ import annotations

from llamakit.core.kernels.activation import exp
from llamakit.core.kernels.kernel import kernel, share
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import fma, max_lanes, sum_lanes, view
from llamakit.core.simd.records import Ptr, Record, f32, f32x16, i64


class Mix(Record):
    """Stream i of out is the sum over j of c[j][i] times stream j of x, of n numbers each; zeros fill up."""

    x: Ptr[f32]  # (n_rows, x_pitch)
    c: Ptr[f32]  # (n_rows, c_pitch): (n_in, n_out)
    out: Ptr[f32]
    n_rows: Ptr[i64]
    x_pitch: i64
    c_pitch: i64
    out_pitch: i64
    n: i64
    n_in: i64
    n_out: i64


@kernel(Mix)
def mix(op, thread, n_threads):
    n, n_in, n_out, whole = op.n, op.n_in, op.n_out, op.n // 16 * 16
    first, last = share(op.n_rows[0] * n_out, thread, n_threads)
    for item in range(first, last):
        row, i = item // n_out, item % n_out
        x, c, out = op.x + row * op.x_pitch, op.c + (row * op.c_pitch + i), op.out + (row * op.out_pitch + i * n)
        for k in range(whole // 16):
            total = f32x16(0)
            for j in range(n_in):
                total = fma(view(x + j * n, f32x16)[k], f32x16(c[j * n_out]), total)
            view(out, f32x16)[k] = total
        for k in range(whole, n):
            rest = f32(0)
            for j in range(n_in):
                rest = rest + x[j * n + k] * c[j * n_out]
            out[k] = rest
        if i == n_out - 1:
            for k in range(n, op.out_pitch - i * n):
                out[k] = f32(0)


class Dot(Record):
    """Sums of products of n numbers of a and b each; zeros fill up."""

    a: Ptr[f32]
    b: Ptr[f32]
    out: Ptr[f32]
    n_rows: Ptr[i64]
    pitch: i64  # of a and b
    out_pitch: i64
    n: i64
    n_groups: i64


@kernel(Dot)
def dot(op, thread, n_threads):
    n, whole = op.n, op.n // 16 * 16
    first, last = share(op.n_rows[0], thread, n_threads)
    for row in range(first, last):
        out = op.out + row * op.out_pitch
        for g in range(op.n_groups):
            a, b = op.a + (row * op.pitch + g * n), op.b + (row * op.pitch + g * n)
            total = f32x16(0)
            for k in range(whole // 16):
                total = fma(view(a, f32x16)[k], view(b, f32x16)[k], total)
            rest = sum_lanes(total)
            for k in range(whole, n):
                rest = rest + a[k] * b[k]
            out[g] = rest
        for k in range(op.n_groups, op.out_pitch):
            out[k] = f32(0)


class Balance(Record):
    """Groups of n numbers to their softmax; with n_rounds, n groups become a matrix as `graph.streams` says."""

    x: Ptr[f32]
    out: Ptr[f32]
    n_rows: Ptr[i64]
    pitch: i64
    n: i64
    n_groups: i64
    n_rounds: i64
    eps: f32


@helper
def softmax_of_few(x, out, n, eps):
    """out = softmax(x) + eps"""
    peak, total = x[0], f32(0)
    for i in range(1, n):
        peak = max(peak, x[i])
    for i in range(n):
        out[i] = max_lanes(exp(f32x16(x[i] - peak)))
        total = total + out[i]
    for i in range(n):
        out[i] = out[i] / total + eps


@helper
def divide_by_sums(m, n, step, stride, eps):
    """Each of n lines, `step` apart, of n numbers, `stride` apart, is divided by its sum plus eps."""
    for line in range(n):
        total = f32(0)
        for i in range(n):
            total = total + m[line * step + i * stride]
        for i in range(n):
            m[line * step + i * stride] = m[line * step + i * stride] / (total + eps)


@kernel(Balance)
def balance(op, thread, n_threads):
    n = op.n
    first, last = share(op.n_rows[0], thread, n_threads)
    for row in range(first, last):
        x, out = op.x + row * op.pitch, op.out + row * op.pitch
        for g in range(op.n_groups):
            softmax_of_few(x + g * n, out + g * n, n, op.eps)
        for i in range(2 * op.n_rounds - 1):  # columns, then rows and columns in turn
            divide_by_sums(out, n, n if i % 2 == 1 else 1, 1 if i % 2 == 1 else n, op.eps)
        for i in range(op.n_groups * n, op.pitch):
            out[i] = f32(0)
