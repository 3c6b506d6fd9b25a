"""GGUF blocks to tiles of 16 rows: one table-driven permutation for every type, streaming from the memory map."""

from __future__ import annotations

from llamakit.core.kernels.kernel import kernel, share
from llamakit.core.kernels.tile import ROWS
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import view
from llamakit.core.simd.records import Ptr, Record, bf16, f16, f32, i8, i16, i32, i64


class RepackUnit(Record):
    """`tile.Unit` as the kernel reads it."""

    offset: i64
    n_bytes: i64
    size: i64


class Repack(Record):
    """Rows of blocks at `source` to the tiles of groups first_group, first_group + group_step, ...

    Rows that are missing in the last group become zeros.
    """

    source: Ptr[i8]
    out: Ptr[i8]
    n_rows: i64
    n_blocks: i64  # of a row
    block_bytes: i64
    units: Ptr[RepackUnit]
    n_units: i64
    first_group: i64
    group_step: i64
    n_side: i64  # groups that lie side by side, unit by unit: 1, or 2 for floats
    is_f16: i64  # 1: words of two f16, which become bf16


@kernel(Repack)
def repack(op, thread, n_threads):
    """out[group / n_side][block][unit][group % n_side][row of 16] = source[row][block][unit]"""
    row_bytes, pitch = op.n_blocks * op.block_bytes, op.n_side * ROWS
    first, last = share((op.n_rows + ROWS - 1) // ROWS, thread, n_threads)
    for group in range(first, last):
        target = op.first_group + group * op.group_step
        out = op.out + target // op.n_side * row_bytes * pitch
        side = target % op.n_side * ROWS
        n_rows = min(ROWS, op.n_rows - group * ROWS)
        for b in range(op.n_blocks):
            block = op.source + (group * ROWS * row_bytes + b * op.block_bytes)
            for u in range(op.n_units):
                unit = op.units + u
                source = block + unit.offset
                if op.is_f16 != 0:
                    copy_halves_as_bf16(
                        view(out, bf16) + 2 * side, 2 * pitch, source, row_bytes, unit.n_bytes // 4, n_rows
                    )
                elif unit.size == 4:
                    copy_words(view(out, i32) + side, pitch, source, row_bytes, unit.n_bytes // 4, n_rows)
                elif unit.size == 2:
                    copy_halves(view(out, i16) + side, pitch, source, row_bytes, unit.n_bytes // 2, n_rows)
                else:
                    copy_bytes(out + side, pitch, source, row_bytes, unit.n_bytes, n_rows)
                out = out + unit.n_bytes * pitch


@helper
def copy_words(out, pitch, source, row_bytes, n, n_rows):
    """out[k][row] = word k of each row, zeros for missing rows"""
    for k in range(n):
        if n_rows == ROWS:
            for row in range(ROWS):
                out[k * pitch + row] = view(source + (row * row_bytes + 4 * k), i32)[0]
        else:
            for row in range(ROWS):
                out[k * pitch + row] = view(source + (row * row_bytes + 4 * k), i32)[0] if row < n_rows else i32(0)


@helper
def copy_halves_as_bf16(out, pitch, source, row_bytes, n, n_rows):
    """As copy_words, for words of two f16; rounds to nearest even."""
    for k in range(n):
        for row in range(ROWS):
            for i in range(2):
                value = view(source + (row * row_bytes + 4 * k), f16)[i] if row < n_rows else f32(0)
                out[k * pitch + 2 * row + i] = value


@helper
def copy_halves(out, pitch, source, row_bytes, n, n_rows):
    for k in range(n):
        if n_rows == ROWS:
            for row in range(ROWS):
                out[k * pitch + row] = view(source + (row * row_bytes + 2 * k), i16)[0]
        else:
            for row in range(ROWS):
                out[k * pitch + row] = view(source + (row * row_bytes + 2 * k), i16)[0] if row < n_rows else i16(0)


@helper
def copy_bytes(out, pitch, source, row_bytes, n, n_rows):
    for k in range(n):
        for row in range(ROWS):
            out[k * pitch + row] = source[row * row_bytes + k] if row < n_rows else i8(0)
