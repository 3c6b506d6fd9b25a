"""Token ids to rows of the embedding table, which lies in tiles as any weight."""

from __future__ import annotations

from llamakit.core.kernels.batch import Batch
from llamakit.core.kernels.float_gemv import GROUPS, TILES
from llamakit.core.kernels.kernel import Kernel, kernel, share
from llamakit.core.kernels.tile import ROWS, Tile
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import view
from llamakit.core.simd.records import Ptr, Record, bf16, f32, f32x16, i8, i32, i32x16, i64, u8


class Embed(Record):
    """out[t] = scale * table[ids[t]]"""

    table: Ptr[i8]
    out: Ptr[f32]
    out_pitch: i64
    batch: Ptr[Batch]
    ids: Ptr[i32]  # the batch's tokens or positions
    n: i64  # columns
    scale: f32
    scratch: Ptr[f32]
    n_scratch: i64


def rows(tile: Tile) -> Kernel:
    """The table of one quantized type: the whole tile is unpacked, one of its 16 rows is kept."""
    n_columns, part_columns, scale_columns = tile.n_columns, tile.part_columns, tile.scale_columns
    scales, part, tile_bytes = tile.scales, tile.part, ROWS * tile.n_bytes
    n_parts, n_scales, bias, has_min = n_columns // part_columns, n_columns // scale_columns, tile.bias, tile.has_min

    @helper
    def unpack_row(block, row, scratch, out, scale):
        d = view(scratch, f32x16)
        m = d + n_scales
        q = view(m + n_scales, i32x16)
        scales(block, d, m)
        for h in range(n_parts):
            part(block, h, q)
            quants = view(q, u8)
            for k in range(part_columns):
                column = h * part_columns + k
                i = column // scale_columns * ROWS + row
                value = view(d, f32)[i] * f32(quants[k // 4 * 64 + row * 4 + k % 4] - bias)
                if has_min:
                    value = value + view(m, f32)[i]
                out[column] = value * scale

    @kernel(Embed)
    def embed(op, thread, n_threads):
        n_blocks = op.n // n_columns
        scratch = op.scratch + thread * op.n_scratch
        first, last = share(op.batch.n_tokens, thread, n_threads)
        for t in range(first, last):
            token = op.ids[t]
            tiles = op.table + token // ROWS * n_blocks * tile_bytes
            for b in range(n_blocks):
                out = op.out + (t * op.out_pitch + b * n_columns)
                unpack_row(tiles + b * tile_bytes, token % ROWS, scratch, out, op.scale)

    return embed


@kernel(Embed)
def pair_rows(op, thread, n_threads):
    """The table in bf16, two columns to a word."""
    pair = GROUPS * ROWS
    first, last = share(op.batch.n_tokens, thread, n_threads)
    for t in range(first, last):
        token = op.ids[t]
        source = view(op.table, bf16) + (token // pair * op.n * pair + 2 * (token % pair))
        out = op.out + t * op.out_pitch
        for k in range(op.n):
            out[k] = source[k // 2 * 2 * pair + k % 2] * op.scale
        for k in range(op.n, op.out_pitch):
            out[k] = f32(0)


def float_rows(type_name: str) -> Kernel:
    """The table of one float type."""
    element, pair = TILES[type_name].element, GROUPS * ROWS

    @kernel(Embed)
    def embed(op, thread, n_threads):
        first, last = share(op.batch.n_tokens, thread, n_threads)
        for t in range(first, last):
            token = op.ids[t]
            source = view(op.table, element) + (token // pair * op.n * pair + token % pair)
            out = op.out + t * op.out_pitch
            for k in range(op.n):
                out[k] = source[k * pair] * op.scale
            for k in range(op.n, op.out_pitch):
                out[k] = f32(0)

    return embed
