"""Q2_0: 64 values of 2 bits and one scale."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.pack import Packing
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack
from llamakit.core.quants.pack_parts import store_half
from llamakit.core.quants.search.groups import inverse, largest_magnitude
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import round_half_away, to_int, view
from llamakit.core.simd.records import f16x16, i32x16

LAYOUT = np.dtype([("d", "<f2"), ("qs", "u1", (16,))])  # byte b holds values 4 b to 4 b + 3, lowest bits first


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (q - 1)   (n_blocks,) -> (n_blocks, 64)"""
    return column(blocks["d"]) * (unpack(blocks["qs"], n_bits=2, run=1).view(np.int8) - np.int8(1))


UNITS = (Unit(0, 2, 2), Unit(2, 16, 4))


@helper
def quantize(blocks, tile):
    """d = max |x|, so that nothing ever takes the level 2 d"""
    d = largest_magnitude(blocks.x, 64)
    scale = inverse(d)
    store_half(tile, 0, d)
    words = view(tile + 32, i32x16)
    for k in range(4):
        word = i32x16(0)
        for i in range(16):
            word = word | ((to_int(round_half_away(blocks.x[16 * k + i] * scale) + 1.0) & 3) << (2 * i))
        words[k] = word


PACKING = Packing(64, 18, UNITS, quantize)
Q2_0 = QuantType(GGMLType.Q2_0, LAYOUT, dequantize, PACKING)


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
