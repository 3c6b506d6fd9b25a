"""Q8_0: 32 values of 8 bits and one scale."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.pack import Packing
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.pack_parts import four_bytes, store_half
from llamakit.core.quants.search.groups import inverse, largest_magnitude
from llamakit.core.quants.tile_parts import scale
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import registers, round_half_away, to_int, view
from llamakit.core.simd.records import i32x16

LAYOUT = np.dtype([("d", "<f2"), ("qs", "i1", (32,))])


def dequantize(blocks: Blocks) -> Floats:
    """x = d * q   (n_blocks,) -> (n_blocks, 32)"""
    x: Floats = column(blocks["d"]) * blocks["qs"]
    return x


UNITS = (Unit(0, 2, 2), Unit(2, 32, 4))


@helper
def quantize(blocks, tile):
    """d = max |x| / 127, q = x / d to nearest, halves away from zero"""
    x = blocks.x
    d = largest_magnitude(x, 32) / 127.0
    scale = inverse(d)
    q = registers(i32x16, 32)
    for i in range(32):
        q[i] = to_int(round_half_away(x[i] * scale)) & 0xFF
    store_half(tile, 0, d)
    words = view(tile + 32, i32x16)
    for k in range(8):
        words[k] = four_bytes(q, 4 * k)


PACKING = Packing(32, 34, UNITS, quantize)
Q8_0 = QuantType(GGMLType.Q8_0, LAYOUT, dequantize, PACKING)


@inlined
def part(tile, h, q):
    words = view(tile + 32, i32x16)
    for c in range(8):
        q[c] = words[c] ^ -0x7F7F7F80  # 0x80 in each byte: q + 128


TILE = Tile(32, 34, UNITS, 32, 32, has_min=False, bias=128, scales=scale, part=part)
