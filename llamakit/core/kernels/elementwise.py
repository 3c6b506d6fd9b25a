"""What happens to each number, or each row, alone."""

from __future__ import annotations

from llamakit.core.kernels.activation import (
    at_most,
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
    tanh,
    within,
)
from llamakit.core.kernels.batch import Batch
from llamakit.core.kernels.kernel import kernel, share
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import view
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
    limit: f32


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


SILU, GELU, RELU, SIGMOID, SWIGLU_OAI, SWIGLU_CLAMP, SILU_CLAMP, GELU_ERF, SITU = range(9)
SQUARED_RELU, GELU_QUICK, TANH, RELU6, HARD_SWISH, LEAKY_RELU, MISH = range(9, 16)
GATED = {
    "silu": SILU, "gelu": GELU, "relu": RELU, "sigmoid": SIGMOID, "swiglu_oai": SWIGLU_OAI,
    "swiglu_clamp": SWIGLU_CLAMP, "silu_clamp": SILU_CLAMP, "gelu_erf": GELU_ERF, "situ": SITU,
    "relu2": SQUARED_RELU, "gelu_quick": GELU_QUICK, "tanh": TANH, "relu6": RELU6, "hard_swish": HARD_SWISH,
    "leaky_relu": LEAKY_RELU, "mish": MISH,
}  # fmt: skip


@helper
def gate_up(kind, gate, up, limit):
    """As `graph.ops.Glu` says."""
    if kind == SILU:
        return silu(gate) * up
    if kind == GELU:
        return gelu_tanh(gate) * up
    if kind == GELU_ERF:
        return gelu_erf(gate) * up
    if kind == RELU:
        return relu(gate) * up
    if kind == SIGMOID:
        return sigmoid(gate) * up
    if kind == SQUARED_RELU:
        return relu(gate) * relu(gate) * up
    if kind == GELU_QUICK:
        return gelu_quick(gate) * up
    if kind == TANH:
        return tanh(gate) * up
    if kind == RELU6:
        return relu6(gate) * up
    if kind == HARD_SWISH:
        return hard_swish(gate) * up
    if kind == LEAKY_RELU:
        return leaky_relu(gate) * up
    if kind == MISH:
        return mish(gate) * up
    if kind == SWIGLU_OAI:
        gate = at_most(gate, limit)
        return gate * sigmoid(gate * 1.702) * (within(up, limit) + 1.0)
    if kind == SWIGLU_CLAMP:
        return silu(at_most(gate, limit)) * within(up, limit)
    if kind == SITU:
        return tanh(gate / limit) * limit * sigmoid(gate) * up
    return at_most(silu(gate), limit) * within(up, limit)


@kernel(Elementwise)
def glu(op, thread, n_threads):
    """out = activation(a) * b, as `activation` says"""
    a, b, out = view(op.a, f32x16), view(op.b, f32x16), view(op.out, f32x16)
    first, last = share(op.n_rows[0] * (op.pitch // 16), thread, n_threads)
    for i in range(first, last):
        out[i] = gate_up(op.activation, a[i], b[i], op.limit)


ADD, MUL, DIV = range(3)


class Broadcast(Record):
    """Rows of a and b, b perhaps one row for all (b_pitch 0), or narrower: one number for each `group` of a's."""

    a: Ptr[f32]
    b: Ptr[f32]
    out: Ptr[f32]
    n: i64  # numbers in a row of a
    pitch: i64  # of a and out
    b_pitch: i64
    group: i64  # 1: b is as wide as a
    n_rows: Ptr[i64]
    operation: i64  # a narrower b can only be a factor


@kernel(Broadcast)
def broadcast(op, thread, n_threads):
    """out = a + b, a * b or a / b"""
    first, last = share(op.n_rows[0], thread, n_threads)
    for row in range(first, last):
        a, b, out = op.a + row * op.pitch, op.b + row * op.b_pitch, op.out + row * op.pitch
        if op.group == 1:
            x, y, result = view(a, f32x16), view(b, f32x16), view(out, f32x16)
            for i in range(op.pitch // 16):
                if op.operation == ADD:
                    result[i] = x[i] + y[i]
                elif op.operation == MUL:
                    result[i] = x[i] * y[i]
                else:
                    result[i] = x[i] / y[i]
            for i in range(op.n, op.pitch):
                out[i] = f32(0)
        else:
            for i in range(op.n):
                out[i] = a[i] * b[i // op.group]
            for i in range(op.n, op.pitch):
                out[i] = f32(0)


class Blocks(Record):
    """n numbers of each of n_groups parts of a row to places in another row."""

    source: Ptr[f32]
    out: Ptr[f32]
    n_rows: Ptr[i64]
    source_pitch: i64
    out_pitch: i64
    source_step: i64  # from one group to the next
    out_step: i64
    n: i64
    n_groups: i64
    out_end: i64  # numbers from `out` to the end of the row's own; zeros fill up
    n_fill: i64


@kernel(Blocks)
def blocks(op, thread, n_threads):
    """out[row][g out_step + i] = source[row][g source_step + i]"""
    first, last = share(op.n_rows[0], thread, n_threads)
    for row in range(first, last):
        for g in range(op.n_groups):
            source = op.source + (row * op.source_pitch + g * op.source_step)
            out = op.out + (row * op.out_pitch + g * op.out_step)
            for i in range(op.n // 16):
                view(out, f32x16)[i] = view(source, f32x16)[i]
            for i in range(op.n // 16 * 16, op.n):
                out[i] = source[i]
        out = op.out + row * op.out_pitch
        for i in range(op.out_end, op.out_end + op.n_fill):
            out[i] = f32(0)


class Tempered(Record):
    """out = x * factors[position]"""

    x: Ptr[f32]
    out: Ptr[f32]
    pitch: i64
    factors: Ptr[f32]  # (n_ctx,)
    batch: Ptr[Batch]


@kernel(Tempered)
def tempered(op, thread, n_threads):
    first, last = share(op.batch.n_tokens, thread, n_threads)
    for row in range(first, last):
        factor = op.factors[op.batch.positions[row]]
        x, out = view(op.x + row * op.pitch, f32x16), view(op.out + row * op.pitch, f32x16)
        for i in range(op.pitch // 16):
            out[i] = x[i] * factor
