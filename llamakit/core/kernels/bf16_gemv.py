"""Few rows of x times 16-bit weights: both bf16, products exact, sums in float32.

Tiles are 32 rows x 2 columns, the two columns of a row in one word. Columns go left to right in pairs, of a pair the
second first: the order of the instruction that `bf16_gemm.py` lives on.
"""

from __future__ import annotations

from llamakit.core.kernels.bf16 import round_row
from llamakit.core.kernels.epilogue import GATED, finish
from llamakit.core.kernels.float_gemv import GROUPS, FloatGemv
from llamakit.core.kernels.gemv import chosen
from llamakit.core.kernels.grouping import lone_row
from llamakit.core.kernels.kernel import kernel, share
from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import dot2, repeat_i32, view
from llamakit.core.simd.records import f32x16, i8, i32, i32x16


@inlined
def dot_pair(weight, n_pairs, x, results):
    """results[0], results[1] = two groups of 16 rows times x"""
    a, b = f32x16(0), f32x16(0)
    for k in range(n_pairs):
        value = repeat_i32(x + k)
        a, b = dot2(a, weight[2 * k], value), dot2(b, weight[2 * k + 1], value)
    results[0], results[1] = a, b


@kernel(FloatGemv)
def rows(op, thread, n_threads):
    scratch = op.scratch + thread * op.n_scratch
    results, rounded, n_pairs = view(scratch, f32x16), view(scratch + 32, i8), op.n // 2
    first, last = share((op.n_groups + GROUPS - 1) // GROUPS, thread, n_threads)
    for i in range(op.n_rows[0]):
        row = lone_row(op, i)
        round_row(op.x + row // op.x_share * op.x_pitch, op.norm, op.n, op.x_pitch, op.eps, rounded)
        expert = chosen(op, row)
        weight = view(op.weight + expert * op.choice_bytes, i32x16)
        for pair in range(first, last):
            dot_pair(weight + GROUPS * pair * n_pairs, n_pairs, view(rounded, i32), results)
            if op.mode == GATED:
                finish(op, row, pair, expert, results, 1)
            else:
                for k in range(min(GROUPS, op.n_groups - GROUPS * pair)):
                    finish(op, row, GROUPS * pair + k, expert, results + k, 1)
