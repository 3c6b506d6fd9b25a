"""What follows a matrix product before its result is stored: scale, bias, residual or gated activation."""

from __future__ import annotations

from llamakit.core.kernels.activation import gelu_tanh, silu
from llamakit.core.kernels.grouping import Grouping
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import is_null, view
from llamakit.core.simd.records import Ptr, Record, f32, f32x16, i64

STORE, ADD, GATED = 0, 1, 2  # out = y; out += y; out = activation(gate) * up
SILU, GELU = 0, 1


class Product(Record):
    """The fields that all matrix products share. Rows of weights go in groups of 16.

    With GATED, groups of gate and up alternate in the weights, and `out` has half as many columns. `scale` and `bias`
    are null or have a number for each weight row (of each expert).
    """

    out: Ptr[f32]
    out_pitch: i64
    scale: Ptr[f32]
    bias: Ptr[f32]
    n_groups: i64
    mode: i64
    activation: i64
    n_rows: Ptr[i64]  # rows of x that it multiplies
    grouping: Ptr[Grouping]  # null, or which rows take which expert's matrix
    scratch: Ptr[f32]
    n_scratch: i64  # floats of scratch for each thread


@helper
def activate(kind, x):
    """silu(x) or gelu(x)"""
    return gelu_tanh(x) if kind == GELU else silu(x)


@helper
def scaled(op, y, group):
    """y * scale + bias of the 16 weight rows of a group."""
    if is_null(op.scale) == 0:
        y = y * view(op.scale, f32x16)[group]
    if is_null(op.bias) == 0:
        y = y + view(op.bias, f32x16)[group]
    return y


@helper
def finish(op, row, unit, expert, results, stride):
    """Store what one row of x and one unit of an expert's weights gave: results[0] or, GATED, [0] and [stride]."""
    first = expert * op.n_groups
    out = view(op.out + row * op.out_pitch, f32x16)
    if op.mode == GATED:
        gate = scaled(op, results[0], first + 2 * unit)
        out[unit] = activate(op.activation, gate) * scaled(op, results[stride], first + 2 * unit + 1)
    else:
        y = scaled(op, results[0], first + unit)
        out[unit] = y + out[unit] if op.mode == ADD else y
