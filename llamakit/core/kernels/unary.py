"""Functions of each number of a row alone, all in one kernel."""

from __future__ import annotations

from llamakit.core.kernels.activation import (
    exp,
    gelu_erf,
    gelu_quick,
    gelu_tanh,
    hard_swish,
    leaky_relu,
    mish,
    relu,
    relu6,
    sigmoid,
    silu,
    softplus,
    tanh,
    within,
)
from llamakit.core.kernels.kernel import kernel, share
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import less, select, vabs, view, vsqrt
from llamakit.core.simd.records import Ptr, Record, f32, f32x16, i64

SILU, GELU, RELU, SQUARED_RELU, SIGMOID, TANH, SOFTPLUS, GELU_ERF = range(8)
SCALE, SOFTCAP, CLAMP, SHIFT, ROOT, ELU, EXP, GELU_QUICK = range(8, 16)
RELU6, HARD_SWISH, LEAKY_RELU, MISH = range(16, 20)
KINDS = {
    "silu": SILU, "gelu": GELU, "relu": RELU, "relu2": SQUARED_RELU, "sigmoid": SIGMOID, "tanh": TANH,
    "softplus": SOFTPLUS, "gelu_erf": GELU_ERF, "elu": ELU, "exp": EXP,
    "gelu_quick": GELU_QUICK, "relu6": RELU6, "hard_swish": HARD_SWISH, "leaky_relu": LEAKY_RELU, "mish": MISH,
}  # fmt: skip


class Unary(Record):
    """Rows of x to rows of out, which may be one place, `pitch` apart. `c` is a factor, cap, limit or summand."""

    x: Ptr[f32]
    out: Ptr[f32]
    n: i64  # numbers in a row; zeros fill up
    pitch: i64
    n_rows: Ptr[i64]
    kind: i64
    c: f32


@helper
def apply(kind, x, c):
    if kind == SCALE:
        return x * c
    if kind == SOFTCAP:
        return tanh(x / c) * c
    if kind == CLAMP:
        return within(x, c)
    if kind == SHIFT:
        return x + c
    if kind == ROOT:
        size = vabs(x)
        root = vsqrt(select(less(size, f32x16(c)), f32x16(c), size))
        root = select(less(x, f32x16(0.0)), f32x16(0.0) - root, root)
        return select(less(f32x16(0.0), size), root, size)
    if kind == SILU:
        return silu(x)
    if kind == GELU:
        return gelu_tanh(x)
    if kind == GELU_ERF:
        return gelu_erf(x)
    if kind == GELU_QUICK:
        return gelu_quick(x)
    if kind == RELU:
        return relu(x)
    if kind == SQUARED_RELU:
        return relu(x) * relu(x)
    if kind == RELU6:
        return relu6(x)
    if kind == HARD_SWISH:
        return hard_swish(x)
    if kind == LEAKY_RELU:
        return leaky_relu(x)
    if kind == MISH:
        return mish(x)
    if kind == ELU:
        return select(less(x, f32x16(0)), exp(within(x, f32(88))) - f32x16(1), x)
    if kind == EXP:
        return exp(x)
    if kind == SIGMOID:
        return sigmoid(x)
    if kind == TANH:
        return tanh(x)
    return softplus(x)


@kernel(Unary)
def unary(op, thread, n_threads):
    """out = f(x)"""
    n_vectors = op.pitch // 16
    first, last = share(op.n_rows[0] * n_vectors, thread, n_threads)
    x, out = view(op.x, f32x16), view(op.out, f32x16)
    for i in range(first, last):
        out[i] = apply(op.kind, x[i], op.c)
        for k in range(max(op.n - i % n_vectors * 16, 0), 16):
            op.out[i * 16 + k] = f32(0)
