"""Q2_0: 64 values of 2 bits and one scale."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import pack, unpack
from llamakit.core.quants.scales import divide, round_half_away
from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import view
from llamakit.core.simd.records import f16x16, i32x16

LAYOUT = np.dtype([("d", "<f2"), ("qs", "u1", (16,))])  # byte b holds values 4 b to 4 b + 3, lowest bits first


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (q - 1)   (n_blocks,) -> (n_blocks, 64)"""
    return column(blocks["d"]) * (unpack(blocks["qs"], n_bits=2, run=1).view(np.int8) - np.int8(1))


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """d = max |x|, so that nothing ever takes the level 2 d.   (n_rows, n) -> (n_rows * n / 64,)"""
    x = rows.reshape(-1, 64)
    d = np.abs(x).max(axis=1)
    q = np.clip(round_half_away(x * divide(1, d)[:, None]) + np.float32(1), 0, 3)
    blocks = np.empty(len(x), LAYOUT)
    blocks["d"] = d
    blocks["qs"] = pack(q.astype(np.uint8), n_bits=2, run=1)
    return blocks


Q2_0 = QuantType(GGMLType.Q2_0, LAYOUT, dequantize, quantize)


@inlined
def scales(tile, d, m):
    d[0] = d[1] = view(tile, f16x16)[0]


@inlined
def part(tile, h, q):
    words = view(tile + 32, i32x16)
    for c in range(2):
        for j in range(4):  # byte j of a word holds four columns, which go to a byte each
            packed = (words[2 * h + c] >> (8 * j)) & 0xFF
            pairs = packed | (packed << 6)
            q[4 * c + j] = (pairs | (pairs << 12)) & 0x03030303


TILE = Tile(64, 18, (Unit(0, 2, 2), Unit(2, 16, 4)), 32, 32, has_min=False, bias=1, scales=scales, part=part)
