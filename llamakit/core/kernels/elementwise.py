"""What happens to each number, or each row, alone."""

from __future__ import annotations

from llamakit.core.kernels.activation import tanh
from llamakit.core.kernels.batch import Batch
from llamakit.core.kernels.epilogue import activate
from llamakit.core.kernels.kernel import kernel, share
from llamakit.core.simd.ops import less, select, view
from llamakit.core.simd.records import Ptr, Record, f32, f32x16, i64


class SelectRows(Record):
    """out[i] = x[outputs[i]]: the rows whose logits are wanted."""

    x: Ptr[f32]
    out: Ptr[f32]
    pitch: i64
    batch: Ptr[Batch]


@kernel(SelectRows)
def select_rows(op, thread, n_threads):
    first, last = share(op.batch.n_outputs, thread, n_threads)
    n = op.pitch // 16
    for i in range(first, last):
        x, out = view(op.x + op.batch.outputs[i] * op.pitch, f32x16), view(op.out + i * op.pitch, f32x16)
        for k in range(n):
            out[k] = x[k]


class Elementwise(Record):
    """Rows of a and b to rows of out, all `pitch` apart."""

    a: Ptr[f32]
    b: Ptr[f32]  # null where one operand is enough
    out: Ptr[f32]
    pitch: i64
    n_rows: Ptr[i64]
    activation: i64
    scale: f32


@kernel(Elementwise)
def add(op, thread, n_threads):
    """out = a + b"""
    a, b, out = view(op.a, f32x16), view(op.b, f32x16), view(op.out, f32x16)
    first, last = share(op.n_rows[0] * (op.pitch // 16), thread, n_threads)
    for i in range(first, last):
        out[i] = a[i] + b[i]


@kernel(Elementwise)
def copy(op, thread, n_threads):
    """out = a"""
    a, out = view(op.a, f32x16), view(op.out, f32x16)
    first, last = share(op.n_rows[0] * (op.pitch // 16), thread, n_threads)
    for i in range(first, last):
        out[i] = a[i]


@kernel(Elementwise)
def glu(op, thread, n_threads):
    """out = activation(a) * b"""
    a, b, out = view(op.a, f32x16), view(op.b, f32x16), view(op.out, f32x16)
    first, last = share(op.n_rows[0] * (op.pitch // 16), thread, n_threads)
    for i in range(first, last):
        out[i] = activate(op.activation, a[i]) * b[i]


@kernel(Elementwise)
def squared_relu(op, thread, n_threads):
    """out = max(a, 0)^2"""
    a, out, zero = view(op.a, f32x16), view(op.out, f32x16), f32x16(0)
    first, last = share(op.n_rows[0] * (op.pitch // 16), thread, n_threads)
    for i in range(first, last):
        positive = select(less(a[i], zero), zero, a[i])  # a NaN stays one
        out[i] = positive * positive


@kernel(Elementwise)
def softcap(op, thread, n_threads):
    """out = scale * tanh(a / scale)"""
    a, out = view(op.a, f32x16), view(op.out, f32x16)
    first, last = share(op.n_rows[0] * (op.pitch // 16), thread, n_threads)
    for i in range(first, last):
        out[i] = tanh(a[i] / op.scale) * op.scale
