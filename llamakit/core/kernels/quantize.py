"""Activations to int8, 32 columns to a block, as every quantized weight type multiplies them."""

from __future__ import annotations

from functools import cache
from typing import Any

from llamakit.core.kernels.grouping import EMPTY, Grouping, row_at
from llamakit.core.kernels.kernel import Kernel, kernel, share
from llamakit.core.kernels.norm import inverse_rms
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import (
    as_int,
    is_null,
    max_lanes_as_float,
    narrow,
    round_to_11_bits,
    sum_lanes_i32,
    to_int,
    vabs,
    view,
    vmax_i32,
    vround,
    widen,
)
from llamakit.core.simd.records import Array, Ptr, Record, RecordType, f32, f32x16, i8, i8x16, i32, i64

BLOCK = 32  # columns that share a scale
# steps from 0 to the largest value: it rounds to 127 as all others round, and steps are finer than with 127
FULL = 127.4
# The biases, of weights with scales for 32 columns and for 16, whose starts need no shift: those of Q8_0 and Q6_K.
BIAS, HALF_BIAS = 128, 32


@cache
def activation_block(n: int) -> type[Record]:
    """One block of n rows side by side, 60 n bytes: x[row] = d[row] * q[row].

    The sums are what weights with a minimum or a bias need. With a minimum: d * sum(q), or sum(q) of each half. With a
    bias: where integer sums start, -BIAS * sum(q), or -HALF_BIAS * sum(q) of each half.
    """
    fields = {"q": Array[i8, 32 * n], "d": Array[f32, n], "sum": Array[f32, n], "half_sums": Array[f32, 2 * n],
              "start": Array[i32, n], "half_starts": Array[i32, 2 * n]}  # fmt: skip
    made: type[Record] = RecordType(f"ActivationBlock{n}", (Record,), {"__annotations__": fields})
    return made


class Quantize(Record):
    """Rows of x, normed unless `norm` is null, to tiles of `activation_block(n)`: [tile of n rows][block]."""

    x: Ptr[f32]
    norm: Ptr[f32]
    out: Ptr[i8]
    n_rows: Ptr[i64]  # or slots
    n: i64  # columns, a multiple of 32
    eps: f32
    grouping: Ptr[Grouping]  # null, or which row goes to each slot of a tile
    x_pitch: i64
    x_share: i64  # as in gemv.Gemv


def quantizer(n: int) -> Any:
    """The helper that quantizes one row into slot `slot` of n-row blocks at `out`."""
    block_type = activation_block(n)

    @helper
    def quantize_row(x, norm, n_columns, eps, out, slot):
        is_normed = is_null(norm) == 0
        scale = inverse_rms(x, n_columns, n_columns, eps) if is_normed else f32(1)
        x, norm, out = view(x, f32x16), view(norm, f32x16), view(out, block_type)
        for b in range(n_columns // BLOCK):
            low, high = x[2 * b] * scale, x[2 * b + 1] * scale
            if is_normed:
                low, high = low * norm[2 * b], high * norm[2 * b + 1]
            peak = max_lanes_as_float(vmax_i32(as_int(vabs(low)), as_int(vabs(high))))  # NaN, if there is one
            d = round_to_11_bits(peak / f32(FULL))  # 11 bits, as ggml's f16: products with f16 scales are exact
            inverse = f32(0) if peak == 0 else f32(1) / d
            low_q, high_q = narrow(to_int(vround(low * inverse))), narrow(to_int(vround(high * inverse)))
            block = out + b
            q = view(block.q, i8x16)
            q[2 * slot], q[2 * slot + 1] = low_q, high_q
            sums = i64(sum_lanes_i32(widen(low_q) + (widen(high_q) << 16)))  # both at once
            high_sum = (sums + 32768) >> 16
            low_sum = sums - (high_sum << 16)
            block.d[slot] = d
            block.sum[slot] = d * f32(low_sum + high_sum)
            block.half_sums[2 * slot], block.half_sums[2 * slot + 1] = f32(low_sum), f32(high_sum)
            block.start[slot] = i32(-BIAS * (low_sum + high_sum))
            block.half_starts[2 * slot] = i32(-HALF_BIAS * low_sum)
            block.half_starts[2 * slot + 1] = i32(-HALF_BIAS * high_sum)

    return quantize_row


def tiles(n: int) -> Kernel:
    """Quantize all rows into tiles of n."""
    quantize_row, block_type = quantizer(n), activation_block(n)
    n_bytes = block_type.size

    @kernel(Quantize)
    def quantize(op, thread, n_threads):
        first, last = share(op.n_rows[0], thread, n_threads)
        for slot in range(first, last):
            tile, row = op.out + slot // n * (op.n // BLOCK) * n_bytes, row_at(op, slot)
            if row != EMPTY:
                quantize_row(op.x + row // op.x_share * op.x_pitch, op.norm, op.n, op.eps, tile, slot % n)

    return quantize
