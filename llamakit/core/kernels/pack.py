"""Weights to packed blocks: sixteen blocks side by side in the lanes, so that each is computed in the order of a loop
over its own values.

A type says how with a `Packing`, in its file in `core/quants`; what it leaves is a tile (see `tile.py`), whose pieces
then go to their blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from llamakit.core.kernels.kernel import Kernel, kernel, share
from llamakit.core.kernels.repack import RepackUnit
from llamakit.core.kernels.tile import ROWS, Unit
from llamakit.core.simd.op import Helper, helper, inlined
from llamakit.core.simd.ops import interleave_high, interleave_low, registers, view
from llamakit.core.simd.records import (
    Array,
    Ptr,
    Record,
    RecordType,
    Vector,
    bf16x16,
    f16x16,
    f32,
    f32x16,
    i8,
    i16,
    i32,
    i32x16,
    i64,
)


class Source(IntEnum):
    """What the weights are made of."""

    F32 = 0
    F16 = 1
    BF16 = 2


SOURCES: dict[Source, Vector] = {Source.F32: f32x16, Source.F16: f16x16, Source.BF16: bf16x16}


@dataclass(frozen=True, eq=False)
class Packing:
    """How blocks of a type are made.

    `quantize(blocks, tile)` reads sixteen blocks, a record of `sixteen(n_values)`, and fills a tile, byte pointer, that
    `units` cuts as `tile.py` says: for each unit, the pieces of `size` bytes of block 0, of block 1, ..., of block 15,
    then their next pieces. A tile may be filled in any order; each byte of it must be.
    """

    n_values: int  # of a block
    n_bytes: int
    units: tuple[Unit, ...]
    quantize: Helper
    is_weighted: bool = False  # reads `importance`
    has_row_size: bool = False  # reads `mean_square`
    tables: Callable[[], npt.NDArray[np.uint8]] | None = None  # makes the bytes that it reads at `table`


@cache
def sixteen(n_values: int) -> type[Record]:
    """Sixteen blocks: x[i] is value i of each, importance[i] that of its column, mean_square[0] that of its row.

    `table` is what `Packing.tables` returns.
    """
    values = Array[f32x16, n_values]
    fields = {"x": values, "importance": values, "mean_square": Array[f32x16, 1], "table": Ptr[i8]}
    made: type[Record] = RecordType(f"Sixteen{n_values}", (Record,), {"constant": False, "__annotations__": fields})
    return made


class Pack(Record):
    """Blocks at `source`, row after row without gaps, to packed blocks at `out`."""

    source: Ptr[i8]
    kind: i64  # a Source
    out: Ptr[i8]
    n_blocks: i64
    row_blocks: i64  # blocks of a row
    importance: Ptr[f32]  # of the columns of a row
    mean_squares: Ptr[f32]  # of the rows
    table: Ptr[i8]
    units: Ptr[RepackUnit]
    n_units: i64


@inlined
def transpose(a, b):
    """Four perfect shuffles: afterwards a[i] holds lane i of what a[0] .. a[15] were."""
    for _ in range(2):
        for i in range(8):
            b[2 * i], b[2 * i + 1] = interleave_low(a[i], a[i + 8]), interleave_high(a[i], a[i + 8])
        for i in range(8):
            a[2 * i], a[2 * i + 1] = interleave_low(b[i], b[i + 8]), interleave_high(b[i], b[i + 8])


def reader(kind: Vector) -> Any:
    """The helper that reads n values from each of sixteen places, `starts` elements from `source`, side by side."""
    size = kind.element.size

    @helper
    def read(source, starts, n, out):
        a, b = registers(f32x16, 16), registers(f32x16, 16)
        for i in range(0, n, 16):
            for lane in range(16):
                a[lane] = view(source + (starts[lane] + i) * size, kind)[0]
            transpose(a, b)
            for lane in range(16):
                out[i + lane] = a[lane]

    return read


read_f32, read_f16, read_bf16 = (reader(kind) for kind in SOURCES.values())


@helper
def read_as(kind, source, starts, n, out):
    if kind == 1:
        read_f16(source, starts, n, out)
    elif kind == 2:
        read_bf16(source, starts, n, out)
    else:
        read_f32(source, starts, n, out)


@helper
def scatter(tile, units, n_units, out, n_bytes, n_blocks):
    """The pieces of a tile to the first n_blocks blocks at `out`: the inverse of `repack`."""
    for u in range(n_units):
        unit = units + u
        target = out + unit.offset
        for k in range(0, unit.n_bytes, unit.size):
            if unit.size == 4:
                for lane in range(n_blocks):
                    view(target + (lane * n_bytes + k), i32)[0] = view(tile, i32)[lane]
            elif unit.size == 2:
                for lane in range(n_blocks):
                    view(target + (lane * n_bytes + k), i16)[0] = view(tile, i16)[lane]
            else:
                for lane in range(n_blocks):
                    target[lane * n_bytes + k] = tile[lane]
            tile = tile + unit.size * ROWS


def blocks(packing: Packing) -> Kernel:
    """Blocks of one type."""
    n_values, n_bytes, quantize = packing.n_values, packing.n_bytes, packing.quantize
    is_weighted, has_row_size = packing.is_weighted, packing.has_row_size
    sixteen_type = sixteen(n_values)
    n_vectors, n_tile = -(-sixteen_type.size // 64), -(-n_bytes * ROWS // 64)

    @kernel(Pack)
    def pack(op, thread, n_threads):
        given, tile = view(registers(f32x16, n_vectors), sixteen_type), view(registers(i32x16, n_tile), i8)
        starts = registers(i64, 16)
        given.table = op.table
        first, last = share((op.n_blocks + ROWS - 1) // ROWS, thread, n_threads)
        for group in range(first, last):
            block = group * ROWS
            n_blocks = min(ROWS, op.n_blocks - block)
            for lane in range(ROWS):  # lanes without a block repeat the last
                starts[lane] = (block + min(lane, n_blocks - 1)) * n_values
            read_as(op.kind, op.source, starts, n_values, given.x)
            row_values = op.row_blocks * n_values
            if has_row_size:
                for lane in range(ROWS):
                    view(given.mean_square, f32)[lane] = op.mean_squares[starts[lane] // row_values]
            if is_weighted:
                for lane in range(ROWS):
                    starts[lane] = starts[lane] % row_values
                read_f32(view(op.importance, i8), starts, n_values, given.importance)
            quantize(given, tile)
            scatter(tile, op.units, op.n_units, op.out + block * n_bytes, n_bytes, n_blocks)

    return pack


class RowSizes(Record):
    """Mean squares of rows."""

    source: Ptr[i8]
    kind: i64
    out: Ptr[f32]
    n_rows: i64
    n: i64  # a multiple of 16


@kernel(RowSizes)
def row_sizes(op, thread, n_threads):
    """out[row] = mean(x[row]^2), added up from the first column to the last; sixteen rows side by side"""
    starts, x = registers(i64, 16), registers(f32x16, 16)
    first, last = share((op.n_rows + ROWS - 1) // ROWS, thread, n_threads)
    for group in range(first, last):
        n_rows = min(ROWS, op.n_rows - group * ROWS)
        total = f32x16(0.0)
        for column in range(0, op.n, 16):
            for lane in range(ROWS):
                starts[lane] = (group * ROWS + min(lane, n_rows - 1)) * op.n + column
            read_as(op.kind, op.source, starts, 16, x)
            for i in range(16):
                total = total + x[i] * x[i]
        x[0] = total / f32(op.n)
        for lane in range(n_rows):
            op.out[group * ROWS + lane] = view(x, f32)[lane]
