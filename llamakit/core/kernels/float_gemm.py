"""Many rows of x times weights that are floats: a panel of columns is widened to float32, then multiplied in registers.

Sums go on from panel to panel, so the order of operations is that of `float_gemv.py`.
"""

from __future__ import annotations

from typing import Any

from llamakit.core.kernels.epilogue import Product
from llamakit.core.kernels.float_gemv import GROUPS, TILES
from llamakit.core.kernels.gemm import store_panel
from llamakit.core.kernels.grouping import n_matrices, rows_of, share_of_matrix
from llamakit.core.kernels.kernel import Kernel, kernel
from llamakit.core.kernels.tile import ROWS
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import fma, registers, repeat_f32, view
from llamakit.core.simd.records import Ptr, f32, f32x16, i8, i64

COLUMNS = 512  # of a panel: 64 KB, which the second-level cache keeps


class FloatGemm(Product):
    weight: Ptr[i8]  # [pair of groups][column][group][16 rows]
    x: Ptr[f32]  # bf16_gemm.py: pairs of bf16, x_pitch words a row
    x_pitch: i64
    n: i64  # columns


def scratch_floats(n_rows: int) -> int:
    """Floats of scratch for one thread: the sums of all rows and one panel."""
    return GROUPS * ROWS * (n_rows + COLUMNS)


def multiplier(n_groups: int, n: int) -> Any:
    """The helper for a register tile: sums[row][group] += panel (columns x n_groups) times n rows of x."""
    size = n_groups * n

    @helper
    def multiply_tile(panel, n_columns, x, x_pitch, sums, is_first):
        total = registers(f32x16, size)
        for j in range(n):
            for g in range(n_groups):
                total[g * n + j] = f32x16(0) if is_first else sums[j * GROUPS + g]
        for k in range(n_columns):
            for j in range(n):
                value = repeat_f32(x + (j * x_pitch + k))
                for g in range(n_groups):
                    total[g * n + j] = fma(panel[k * GROUPS + g], value, total[g * n + j])
        for j in range(n):
            for g in range(n_groups):
                sums[j * GROUPS + g] = total[g * n + j]

    return multiply_tile


def rows(type_name: str, n_groups: int, n: int) -> Kernel:
    """GEMM of one float type with a register tile of n_groups x 16 weight rows and n rows of x."""
    tile, multiply_tile = TILES[type_name], multiplier(n_groups, n)

    @kernel(FloatGemm)
    def gemm(op, thread, n_threads):
        scratch = view(op.scratch + thread * op.n_scratch, f32x16)
        panel, sums = scratch, scratch + COLUMNS * GROUPS
        for i in range(n_matrices(op)):
            expert, slot, n_rows = rows_of(op, i)
            weight, n_panels = view(op.weight, tile) + expert * op.n_groups * op.n, (op.n_groups + GROUPS - 1) // GROUPS
            first, last = share_of_matrix(op, i, n_panels, thread, n_threads)
            for p in range(first, last):
                for start in range(0, op.n, COLUMNS):
                    n_columns = min(COLUMNS, op.n - start)
                    columns = weight + (p * op.n + start) * GROUPS
                    for k in range(n_columns * GROUPS):
                        panel[k] = columns[k]
                    for row in range(0, n_rows, n):
                        x = op.x + ((slot + row) * op.x_pitch + start)
                        for g in range(0, GROUPS, n_groups):
                            multiply_tile(panel + g, n_columns, x, op.x_pitch, sums + (row * GROUPS + g), start == 0)
                for row in range(0, n_rows, n):
                    store_panel(op, slot + row, min(n, n_rows - row), p, expert, sums + row * GROUPS)

    return gemm
