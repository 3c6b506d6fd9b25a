"""Many rows of x times 16-bit weights, both bf16: the tiles are multiplied as they lie in memory."""

from __future__ import annotations

from typing import Any

from llamakit.core.kernels.float_gemm import FloatGemm
from llamakit.core.kernels.float_gemv import GROUPS
from llamakit.core.kernels.gemm import store_panel
from llamakit.core.kernels.grouping import n_matrices, rows_of, share_of_matrix
from llamakit.core.kernels.kernel import Kernel, kernel
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import dot2, registers, repeat_i32, view
from llamakit.core.simd.records import f32x16, i32, i32x16


def multiplier(n_groups: int, n: int) -> Any:
    """The helper for a register tile: out[row][group] = n_groups of weight rows times n rows of x."""
    size = n_groups * n

    @helper
    def multiply_tile(weight, n_pairs, x, x_pitch, out):
        total = registers(f32x16, size)
        for k in range(size):
            total[k] = f32x16(0)
        for k in range(n_pairs):
            for j in range(n):
                value = repeat_i32(x + (j * x_pitch + k))
                for g in range(n_groups):
                    total[g * n + j] = dot2(total[g * n + j], weight[k * GROUPS + g], value)
        for j in range(n):
            for g in range(n_groups):
                out[j * GROUPS + g] = total[g * n + j]

    return multiply_tile


def rows(n_groups: int, n: int) -> Kernel:
    """GEMM with a register tile of n_groups x 16 weight rows and n rows of x; x_pitch counts words of two columns."""
    multiply_tile = multiplier(n_groups, n)

    @kernel(FloatGemm)
    def gemm(op, thread, n_threads):
        results = view(op.scratch + thread * op.n_scratch, f32x16)
        n_pairs, n_panels, words = op.n // 2, (op.n_groups + GROUPS - 1) // GROUPS, view(op.x, i32)
        for i in range(n_matrices(op)):
            expert, slot, n_rows = rows_of(op, i)
            first, last = share_of_matrix(op, i, n_panels, thread, n_threads)
            for p in range(first, last):
                weight = view(op.weight, i32x16) + (expert * op.n_groups + p * GROUPS) * n_pairs
                for row in range(0, n_rows, n):
                    x = words + (slot + row) * op.x_pitch
                    for g in range(0, GROUPS, n_groups):
                        multiply_tile(weight + g, n_pairs, x, op.x_pitch, results + g)
                    store_panel(op, slot + row, min(n, n_rows - row), p, expert, results)

    return gemm
