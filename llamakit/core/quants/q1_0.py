"""Q1_0: 128 signs and one scale."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.pack import Packing
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack
from llamakit.core.quants.pack_parts import store_half
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import less, select_i32, spread, vabs, view
from llamakit.core.simd.records import f16x16, f32x16, i32x16

LAYOUT = np.dtype([("d", "<f2"), ("qs", "u1", (16,))])  # bit i is value i


def dequantize(blocks: Blocks) -> Floats:
    """x = d where the bit is set, else -d   (n_blocks,) -> (n_blocks, 128)"""
    return column(blocks["d"]) * (unpack(blocks["qs"], n_bits=1, run=1).view(np.int8) * np.int8(2) - np.int8(1))


UNITS = (Unit(0, 2, 2), Unit(2, 16, 4))


@helper
def quantize(blocks, tile):
    """d = mean |x|"""
    words, sum_magnitude = view(tile + 32, i32x16), f32x16(0.0)
    for k in range(4):
        word = i32x16(0)
        for i in range(32):
            x = blocks.x[32 * k + i]
            sum_magnitude = sum_magnitude + vabs(x)
            word = word | select_i32(less(x, f32x16(0.0)), i32x16(0), i32x16(1) << i)
        words[k] = word
    store_half(tile, 0, sum_magnitude / 128.0)


PACKING = Packing(128, 18, UNITS, quantize)
Q1_0 = QuantType(GGMLType.Q1_0, LAYOUT, dequantize, PACKING)


@inlined
def tile_scales(tile, d, m):
    step = view(tile, f16x16)[0]
    for k in range(4):
        d[k] = step


@inlined
def part(tile, h, q):
    """2 where the bit is set, else 0."""
    word = view(tile + 32, i32x16)[h]
    for k in range(8):
        q[k] = spread(word, 4 * k, 1, 1, 1)


TILE = Tile(128, 18, UNITS, 32, 32, has_min=False, bias=1, scales=tile_scales, part=part)
