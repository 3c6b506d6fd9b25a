"""TQ2_0: 256 values of -1, 0 or 1 in 2 bits each, and one scale."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.pack import Packing
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack
from llamakit.core.quants.pack_parts import store_half, two_bits
from llamakit.core.quants.ternary import fit_ternary
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import registers, view
from llamakit.core.simd.records import f16x16, i32x16

LAYOUT = np.dtype([("qs", "u1", (64,)), ("d", "<f2")])  # bits as in Q2_K


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (q - 1)   (n_blocks,) -> (n_blocks, 256)"""
    return column(blocks["d"]) * (unpack(blocks["qs"], n_bits=2, run=32).view(np.int8) - np.int8(1))


UNITS = (Unit(64, 2, 2), Unit(0, 64, 4))


@helper
def quantize(blocks, tile):
    q = registers(i32x16, 256)
    store_half(tile, 0, fit_ternary(blocks.x, q))
    words = view(tile + 32, i32x16)
    for u in range(16):
        words[u] = two_bits(q, u // 8 * 128 + u % 8 * 4, 32)


PACKING = Packing(256, 66, UNITS, quantize)
TQ2_0 = QuantType(GGMLType.TQ2_0, LAYOUT, dequantize, PACKING)


@inlined
def tile_scales(tile, d, m):
    step = view(tile, f16x16)[0]
    for k in range(8):
        d[k] = step


@inlined
def part(tile, h, q):
    words = view(tile + 32, i32x16) + h * 8
    for u in range(8):
        for k in range(4):
            q[8 * k + u] = (words[u] >> (2 * k)) & 0x03030303


TILE = Tile(256, 66, UNITS, 128, 32, has_min=False, bias=1, scales=tile_scales, part=part)
