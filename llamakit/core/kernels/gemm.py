"""Many rows of x: unpack a panel of weights once, then a register tile of weight rows x activation rows at a time."""

from __future__ import annotations

from typing import Any

from llamakit.core.kernels.epilogue import GATED, Product, finish
from llamakit.core.kernels.gemv import starter
from llamakit.core.kernels.grouping import n_matrices, row_at, rows_of, share_of_matrix
from llamakit.core.kernels.kernel import Kernel, kernel
from llamakit.core.kernels.quantize import activation_block
from llamakit.core.kernels.tile import ROWS, Tile
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import (
    as_bytes,
    dot4,
    dot4_wide,
    fma,
    registers,
    repeat4,
    repeat_f32,
    to_float,
    view,
)
from llamakit.core.simd.records import Ptr, f32x16, i8, i32x16, i64
from llamakit.core.simd.target import host_target

GROUPS = 2  # groups of 16 weight rows in a panel
COLUMNS = 2048  # of a panel: with its scales it leaves most of a core's L2 cache to the rows of x


def register_tile() -> tuple[int, int]:
    """Groups of weight rows x rows of x that fit the registers: 12 of 32 twice with AVX-512, 8 of 16 with AVX2."""
    return (2, 6) if host_target().has_avx512 else (1, 4)


class Gemm(Product):
    weight: Ptr[i8]
    x: Ptr[i8]  # tiles of quantized rows, as `quantize.tiles` leaves them
    n_blocks: i64  # of a weight row


def scratch_floats(n_rows: int, n_columns: int, tile: Tile) -> int:
    """Floats of scratch that a thread takes for n_rows of x: a panel's quants, scales and mins, and its results."""
    n_panel = min(n_columns, COLUMNS)
    n_scales = n_panel // tile.scale_columns
    n_rows += register_tile()[1]  # the last tile may not be full
    return GROUPS * ROWS * (n_rows + n_panel // 4 + n_scales * (2 if tile.has_min else 1))


def unpacker(tile: Tile) -> Any:
    """The helper that unpacks GROUPS groups of 16 rows: quants [4 columns][group], scales and mins [scale][group]."""
    n_parts, n_scales = tile.n_columns // tile.part_columns, tile.n_columns // tile.scale_columns
    n_words, n_block_words, tile_bytes = tile.part_columns // 4, tile.n_columns // 4, ROWS * tile.n_bytes
    scales, part, has_min = tile.scales, tile.part, tile.has_min

    @helper
    def unpack(weight, n_blocks, pitch, quants, d_panel, m_panel):
        q, d, m = registers(i32x16, n_words), registers(f32x16, n_scales), registers(f32x16, n_scales)
        for group in range(GROUPS):
            for b in range(n_blocks):
                block = weight + (group * pitch + b * tile_bytes)
                scales(block, d, m)
                for h in range(n_parts):
                    part(block, h, q)
                    for k in range(n_words):
                        quants[(b * n_block_words + h * n_words + k) * GROUPS + group] = q[k]
                for k in range(n_scales):
                    i = (b * n_scales + k) * GROUPS + group
                    d_panel[i] = d[k]
                    if has_min:
                        m_panel[i] = m[k]

    return unpack


def block_product(tile: Tile, n_groups: int, n: int, stride: int) -> Any:
    """The helper for 32 columns: total[group][row] += n_groups groups of 16 weight rows x n rows of x.

    The quants of its columns are quants[first + word * stride + group], their scales and minimums
    d[i * stride + group], with i from `scale` on.
    """
    start, has_min, by_halves = starter(tile), tile.has_min, tile.scale_columns == 16
    multiply = dot4_wide if tile.is_wide else dot4

    @inlined
    def by_32(total, sums, part_sums, quants, first, d, m, scale, block):
        for j in range(n):
            for g in range(n_groups):
                sums[g * n + j] = start(block.start + j, block.half_starts, 0)
        for s in range(8):
            for j in range(n):
                word = repeat4(block.q + (j * 32 + s * 4))
                for g in range(n_groups):
                    k = g * n + j
                    sums[k] = multiply(sums[k], as_bytes(quants[first + s * stride + g]), word)
        for g in range(n_groups):
            d_group = d[scale * stride + g]
            for j in range(n):
                k = g * n + j
                total[k] = fma(to_float(sums[k]), d_group * repeat_f32(block.d + j), total[k])
                if has_min:
                    total[k] = fma(m[scale * stride + g], repeat_f32(block.sum + j), total[k])

    @inlined
    def by_16(total, sums, part_sums, quants, first, d, m, scale, block):
        for half in range(2):
            for j in range(n):
                for g in range(n_groups):
                    sums[g * n + j] = start(block.start, block.half_starts + 2 * j, half)
            for s in range(4):
                for j in range(n):
                    word = repeat4(block.q + (j * 32 + half * 16 + s * 4))
                    for g in range(n_groups):
                        k = g * n + j
                        sums[k] = multiply(sums[k], as_bytes(quants[first + (half * 4 + s) * stride + g]), word)
            for g in range(n_groups):
                d_group = d[(scale + half) * stride + g]
                for j in range(n):
                    k = g * n + j
                    if half == 0:
                        part_sums[k] = to_float(sums[k]) * d_group
                    else:
                        part_sums[k] = fma(to_float(sums[k]), d_group, part_sums[k])
        for g in range(n_groups):
            for j in range(n):
                k = g * n + j
                if has_min:
                    for half in range(2):
                        half_sum = repeat_f32(block.half_sums + (2 * j + half))
                        part_sums[k] = fma(m[(scale + half) * stride + g], half_sum, part_sums[k])
                total[k] = fma(part_sums[k], repeat_f32(block.d + j), total[k])

    return by_16 if by_halves else by_32


def multiplier(tile: Tile, n_groups: int, n: int) -> Any:
    """The helper for a register tile: out[row][group] (+)= n_groups of the panel's groups x n rows of x."""
    block_type, size, n_scales = activation_block(n), n_groups * n, 32 // tile.scale_columns
    multiply_block = block_product(tile, n_groups, n, GROUPS)

    @helper
    def multiply_tile(n_blocks32, quants, d_panel, m_panel, x, out, is_first):
        total, sums, part_sums = registers(f32x16, size), registers(i32x16, size), registers(f32x16, size)
        block = view(x, block_type)
        for j in range(n):
            for g in range(n_groups):
                total[g * n + j] = f32x16(0) if is_first else out[j * GROUPS + g]
        for _ in range(n_blocks32):
            multiply_block(total, sums, part_sums, quants, 0, d_panel, m_panel, 0, block)
            d_panel, m_panel = d_panel + n_scales * GROUPS, m_panel + n_scales * GROUPS
            quants, block = quants + 8 * GROUPS, block + 1
        for j in range(n):
            for g in range(n_groups):
                out[j * GROUPS + g] = total[g * n + j]

    return multiply_tile


def rows(tile: Tile, n_groups: int, n: int) -> Kernel:
    """GEMM of one quantized type with a register tile of n_groups x 16 weight rows and n rows of x."""
    unpack, multiply_tile, tile_bytes = unpacker(tile), multiplier(tile, n_groups, n), ROWS * tile.n_bytes
    n_block_words, n_scales = tile.n_columns // 4, tile.n_columns // tile.scale_columns
    n_blocks32, n_panel_blocks = tile.n_columns // 32, COLUMNS // tile.n_columns
    row_block_bytes, n_mins = activation_block(n).size, n_scales if tile.has_min else 0

    @kernel(Gemm)
    def gemm(op, thread, n_threads):
        pitch, n_most = op.n_blocks * tile_bytes, min(op.n_blocks, n_panel_blocks)
        quants = view(op.scratch + thread * op.n_scratch, i32x16)
        d_panel = view(quants + n_most * n_block_words * GROUPS, f32x16)
        m_panel = d_panel + n_most * n_scales * GROUPS
        results = m_panel + n_most * n_mins * GROUPS
        for i in range(n_matrices(op)):
            expert, first_slot, n_rows = rows_of(op, i)
            weights = op.weight + expert * op.n_groups * pitch
            first, last = share_of_matrix(op, i, (op.n_groups + GROUPS - 1) // GROUPS, thread, n_threads)
            for p in range(first, last):
                for start in range(0, op.n_blocks, n_panel_blocks):
                    n_blocks = min(n_panel_blocks, op.n_blocks - start)
                    weight = weights + (p * GROUPS * pitch + start * tile_bytes)
                    unpack(weight, n_blocks, pitch, quants, d_panel, m_panel)
                    for t in range((n_rows + n - 1) // n):
                        x = op.x + ((first_slot // n + t) * op.n_blocks + start) * n_blocks32 * row_block_bytes
                        out = results + t * n * GROUPS
                        for g in range(0, GROUPS, n_groups):
                            multiply_tile(
                                n_blocks * n_blocks32, quants + g, d_panel + g, m_panel + g, x, out + g, start == 0
                            )
                        if start + n_blocks == op.n_blocks:
                            store_panel(op, first_slot + t * n, min(n, n_rows - t * n), p, expert, out)

    return gemm


@helper
def store_panel(op, first_slot, n_rows, p, expert, results):
    """The epilogue of one panel and a few rows of x; the last panel may have one group only."""
    for j in range(n_rows):
        row = row_at(op, first_slot + j)
        if op.mode == GATED:
            finish(op, row, p, expert, results + j * GROUPS, 1)
        else:
            for g in range(min(GROUPS, op.n_groups - p * GROUPS)):
                finish(op, row, p * GROUPS + g, expert, results + (j * GROUPS + g), 1)
