"""Few rows of x times weights that are floats: F32, F16, BF16. Tiles of 32 rows x 1 column, float32 throughout.

One accumulator for each output, columns left to right with fma: the order of `float_gemm.py`.
"""

from __future__ import annotations

from llamakit.core.kernels.epilogue import GATED, Product, finish
from llamakit.core.kernels.gemv import chosen
from llamakit.core.kernels.grouping import lone_row
from llamakit.core.kernels.kernel import Kernel, kernel, share
from llamakit.core.kernels.norm import norm_row
from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import fma, is_null, repeat_f32, view
from llamakit.core.simd.records import Ptr, Vector, bf16x16, f16x16, f32, f32x16, i8, i32, i64

GROUPS = 2  # groups of 16 weight rows side by side: two chains of fma, one stream of memory
TILES: dict[str, Vector] = {"f32": f32x16, "f16": f16x16, "bf16": bf16x16}


class FloatGemv(Product):
    weight: Ptr[i8]  # [pair of groups][column][group][16 rows]
    x: Ptr[f32]
    x_pitch: i64
    norm: Ptr[f32]  # null: x as it is
    n: i64  # columns
    eps: f32
    choice: Ptr[i32]  # as in gemv.Gemv
    choice_bytes: i64
    x_share: i64


@inlined
def dot_pair(weight, n, x, results):
    """results[0], results[1] = two groups of 16 rows times x"""
    a, b = f32x16(0), f32x16(0)
    for k in range(n):
        value = repeat_f32(x + k)
        a, b = fma(weight[2 * k], value, a), fma(weight[2 * k + 1], value, b)
    results[0], results[1] = a, b


def rows(type_name: str) -> Kernel:
    """GEMV of one float type."""
    tile = TILES[type_name]

    @kernel(FloatGemv)
    def gemv(op, thread, n_threads):
        scratch = op.scratch + thread * op.n_scratch
        results, normed, n = view(scratch, f32x16), scratch + 32, op.n
        first, last = share((op.n_groups + GROUPS - 1) // GROUPS, thread, n_threads)
        for i in range(op.n_rows[0]):
            row = lone_row(op, i)
            x = op.x + row // op.x_share * op.x_pitch
            if is_null(op.norm) == 0:
                norm_row(x, op.norm, n, op.x_pitch, op.eps, normed)
                x = normed
            expert = chosen(op, row)
            weight = view(op.weight + expert * op.choice_bytes, tile)
            for pair in range(first, last):
                dot_pair(weight + 2 * pair * n, n, x, results)
                if op.mode == GATED:
                    finish(op, row, pair, expert, results, 1)
                else:
                    for k in range(min(GROUPS, op.n_groups - GROUPS * pair)):
                        finish(op, row, GROUPS * pair + k, expert, results + k, 1)

    return gemv
