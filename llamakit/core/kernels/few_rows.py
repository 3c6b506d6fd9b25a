"""A few rows of x: a register tile of rows at a time, straight from the tiles of weights.

Between `gemv.py`, which would read and unpack the weights for each row, and `gemm.py`, which unpacks whole panels for
many rows: here 32 columns of 16 weight rows are unpacked in registers, and serve all rows of a tile of x at once, or
half of them where no more are filled. The order of float operations is that of both.
"""

from __future__ import annotations

from typing import Any

from llamakit.core.kernels.epilogue import GATED, finish
from llamakit.core.kernels.gemm import Gemm, block_product
from llamakit.core.kernels.grouping import n_matrices, row_at, rows_of, share_of_matrix
from llamakit.core.kernels.kernel import Kernel, kernel
from llamakit.core.kernels.quantize import activation_block
from llamakit.core.kernels.tile import ROWS, Tile
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import registers, view
from llamakit.core.simd.records import f32x16, i32x16
from llamakit.core.simd.target import host_target

TILE_ROWS = 8  # with the quants of 32 columns they fit the registers of AVX-512


def pays() -> bool:
    """Whether the registers hold a tile of rows beside the weights."""
    return host_target().has_avx512


def scratch_floats(n: int) -> int:
    """Floats of scratch that a thread takes: the results of two groups of weights and n rows of x."""
    return 2 * n * ROWS


def multiplier(tile: Tile, n_slots: int, n: int) -> Any:
    """The helper that multiplies 16 rows of weights with the first n rows of a tile of n_slots."""
    block_type, tile_bytes = activation_block(n_slots), ROWS * tile.n_bytes
    n_parts, n_scales = tile.n_columns // tile.part_columns, tile.n_columns // tile.scale_columns
    n_words, n_blocks32 = tile.part_columns // 4, tile.part_columns // 32
    n_block_scales = 32 // tile.scale_columns
    scales, part, multiply_block = tile.scales, tile.part, block_product(tile, 1, n, 1)

    @helper
    def multiply_rows(weight, n_blocks, x, out):
        """out[row] = 16 rows of weights x n rows of x"""
        total, sums, part_sums = registers(f32x16, n), registers(i32x16, n), registers(f32x16, n)
        q, d, m = registers(i32x16, n_words), registers(f32x16, n_scales), registers(f32x16, n_scales)
        block = view(x, block_type)
        for j in range(n):
            total[j] = f32x16(0)
        for _ in range(n_blocks):
            scales(weight, d, m)
            for h in range(n_parts):
                part(weight, h, q)
                for b in range(n_blocks32):
                    scale = (h * n_blocks32 + b) * n_block_scales
                    multiply_block(total, sums, part_sums, q, 8 * b, d, m, scale, block)
                    block = block + 1
            weight = weight + tile_bytes
        for j in range(n):
            out[j] = total[j]

    return multiply_rows


def rows(tile: Tile, n: int) -> Kernel:
    """The product of one quantized type with tiles of n rows of x, as `quantize.tiles[n]` leaves them."""
    multiply_rows, multiply_half = multiplier(tile, n, n), multiplier(tile, n, n // 2)
    tile_bytes, n_half = ROWS * tile.n_bytes, n // 2
    x_block_bytes = tile.n_columns // 32 * activation_block(n).size  # of a tile of rows

    @kernel(Gemm)
    def few(op, thread, n_threads):
        results = view(op.scratch + thread * op.n_scratch, f32x16)
        n_groups = 2 if op.mode == GATED else 1  # of a unit
        n_bytes = op.n_blocks * tile_bytes  # of a group
        for i in range(n_matrices(op)):
            expert, first_slot, n_rows = rows_of(op, i)
            first, last = share_of_matrix(op, i, op.n_groups // n_groups, thread, n_threads)
            for unit in range(first, last):
                for t in range(0, n_rows, n):
                    slot, n_used = first_slot + t, min(n, n_rows - t)
                    x = op.x + slot // n * op.n_blocks * x_block_bytes
                    for k in range(n_groups):
                        weight = op.weight + (expert * op.n_groups + unit * n_groups + k) * n_bytes
                        if n_used > n_half:
                            multiply_rows(weight, op.n_blocks, x, results + k * n)
                        else:
                            multiply_half(weight, op.n_blocks, x, results + k * n)
                    for j in range(n_used):
                        finish(op, row_at(op, slot + j), unit, expert, results + j, n)

    return few
