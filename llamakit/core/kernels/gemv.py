"""Few rows of x: out = epilogue(W quantized(norm(x))), straight from the tiles, at memory speed.

Every thread quantizes x for itself, which saves a barrier. The order of float operations is that of `gemm.py`:
blocks left to right, one accumulator for each output.
"""

from __future__ import annotations

from typing import Any

from llamakit.core.kernels.epilogue import GATED, Product, finish
from llamakit.core.kernels.grouping import lone_row
from llamakit.core.kernels.kernel import Kernel, kernel, share
from llamakit.core.kernels.quantize import BIAS, HALF_BIAS, activation_block, quantizer
from llamakit.core.kernels.tile import ROWS, Tile
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import (
    as_bytes,
    dot4,
    dot4_wide,
    fma,
    has_wide_bias,
    is_null,
    registers,
    repeat4,
    repeat_f32,
    repeat_i32,
    to_float,
    view,
)
from llamakit.core.simd.records import Ptr, f32, f32x16, i8, i32, i32x16, i64


class Gemv(Product):
    weight: Ptr[i8]
    x: Ptr[f32]
    x_pitch: i64
    norm: Ptr[f32]  # null: x as it is
    n: i64  # columns
    n_blocks: i64  # of a weight row
    eps: f32
    choice: Ptr[i32]  # null, or which matrix of a table of experts each row of the result takes
    choice_bytes: i64  # of one expert's matrix
    x_share: i64  # rows of the result that share a row of x: 1, or the number of chosen experts


@helper
def chosen(op, row):
    """The expert that a row of the result takes; 0 where there is one matrix."""
    return 0 if is_null(op.choice) != 0 else i64(op.choice[row])


def starter(tile: Tile) -> Any:
    """The helper that gives a block's integer accumulators their start: minus bias times the sum of x."""
    has_bias, is_wide, by_halves = tile.bias > 0, tile.is_wide, tile.scale_columns == 16
    shift = tile.bias.bit_length() - (HALF_BIAS if by_halves else BIAS).bit_length()  # all are powers of two

    @inlined
    def shifted(starts):
        if shift == 0:
            return repeat_i32(starts)
        return i32x16(i32(starts[0] << shift)) if shift > 0 else i32x16(i32(starts[0] >> -shift))

    @inlined
    def start(whole, halves, half):
        if not has_bias:
            return i32x16(0)
        if by_halves:
            return shifted(halves + half)
        if half == 1:
            return i32x16(0)
        return shifted(whole) * has_wide_bias() if is_wide else shifted(whole)

    return start


def dot(tile: Tile) -> Any:
    """The helper that multiplies 16 rows of weights with one row of quantized activations."""
    block_type = activation_block(1)
    n_parts, n_scales = tile.n_columns // tile.part_columns, tile.n_columns // tile.scale_columns
    n_words, n_blocks32 = tile.part_columns // 4, tile.part_columns // 32
    n_sums, tile_bytes = 2 * n_blocks32, ROWS * tile.n_bytes
    scales, part, start = tile.scales, tile.part, starter(tile)
    has_min, by_halves = tile.has_min, tile.scale_columns == 16
    multiply = dot4_wide if tile.is_wide else dot4

    @inlined
    def dot_rows(weight, n_blocks, activations):
        x = view(activations, block_type)
        total = f32x16(0)
        q, sums = registers(i32x16, n_words), registers(i32x16, n_sums)
        d, m = registers(f32x16, n_scales), registers(f32x16, n_scales)
        for _ in range(n_blocks):
            scales(weight, d, m)
            for h in range(n_parts):
                part(weight, h, q)
                for b in range(n_blocks32):
                    block = x + b
                    sums[2 * b] = start(block.start, block.half_starts, 0)
                    sums[2 * b + 1] = start(block.start, block.half_starts, 1)
                for half in range(2):  # quarter by quarter over all blocks of the part: memory is read in order
                    for s in range(4):
                        for b in range(n_blocks32):
                            block = x + b
                            word = repeat4(block.q + (half * 16 + s * 4))
                            k = 2 * b + half
                            sums[k] = multiply(sums[k], as_bytes(q[b * 8 + half * 4 + s]), word)
                for b in range(n_blocks32):
                    block = x + b
                    k = h * n_blocks32 + b
                    if by_halves:
                        y = to_float(sums[2 * b]) * d[2 * k]
                        y = fma(to_float(sums[2 * b + 1]), d[2 * k + 1], y)
                        if has_min:
                            y = fma(m[2 * k], repeat_f32(block.half_sums), y)
                            y = fma(m[2 * k + 1], repeat_f32(block.half_sums + 1), y)
                        total = fma(y, repeat_f32(block.d), total)
                    else:
                        total = fma(to_float(sums[2 * b] + sums[2 * b + 1]), d[k] * repeat_f32(block.d), total)
                        if has_min:
                            total = fma(m[k], repeat_f32(block.sum), total)
                x = x + n_blocks32
            weight = weight + tile_bytes
        return total

    return dot_rows


def rows(tile: Tile) -> Kernel:
    """GEMV of one quantized type."""
    dot_rows, quantize_row, tile_bytes = dot(tile), quantizer(1), ROWS * tile.n_bytes

    @kernel(Gemv)
    def gemv(op, thread, n_threads):
        scratch = op.scratch + thread * op.n_scratch
        results, activations = view(scratch, f32x16), view(scratch + 32, i8)
        n_groups = 2 if op.mode == GATED else 1  # of a unit
        first, last = share(op.n_groups // n_groups, thread, n_threads)
        for i in range(op.n_rows[0]):
            row = lone_row(op, i)
            quantize_row(op.x + row // op.x_share * op.x_pitch, op.norm, op.n, op.eps, activations, 0)
            expert = chosen(op, row)
            weight = op.weight + expert * op.choice_bytes
            for unit in range(first, last):
                for k in range(n_groups):
                    group = unit * n_groups + k
                    results[k] = dot_rows(weight + group * op.n_blocks * tile_bytes, op.n_blocks, activations)
                finish(op, row, unit, expert, results, 1)

    return gemv
