"""Q5_K: 256 values of 5 bits; every 32 have a scale and a minimum of 6 bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.pack import Packing
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack
from llamakit.core.quants.k_scales import pack_scales, unpack_scales
from llamakit.core.quants.k_tile import tile_scales
from llamakit.core.quants.pack_parts import four_bytes
from llamakit.core.quants.search.descent import positive_descent
from llamakit.core.quants.search.ranges import range_search
from llamakit.core.quants.search.superblocks import (
    QK_K,
    by_importance,
    by_magnitude_and_size,
    range_fit,
    round_to_largest,
)
from llamakit.core.quants.tile_parts import high_nibbles, low_nibbles
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import registers, view
from llamakit.core.simd.records import i32x16

LAYOUT = np.dtype(
    [
        ("d", "<f2"),
        ("dmin", "<f2"),
        ("scales", "u1", (12,)),  # eight scales and eight minimums of 6 bits, see k_scales.py
        ("qh", "u1", (32,)),  # bit i // 32 of byte i % 32 is bit 4 of value i
        ("qs", "u1", (128,)),  # low four bits, as in Q4_K
    ]
)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * scale * q - dmin * min   (n_blocks,) -> (n_blocks, 256)"""
    q = unpack(blocks["qs"], n_bits=4, run=32) | unpack(blocks["qh"], n_bits=1, run=32) << 4
    scales, mins = unpack_scales(blocks["scales"])
    step: Floats = column(blocks["d"]) * scales
    minimum: Floats = column(blocks["dmin"]) * mins
    return (step[:, :, None] * q.reshape(-1, 8, 32) - minimum[:, :, None]).reshape(-1, 256)


def quantizer(fit: Any) -> Any:
    @helper
    def quantize(blocks, tile):
        q, scales, mins = registers(i32x16, QK_K), registers(i32x16, 8), registers(i32x16, 8)
        fit(blocks, tile, q, scales, mins)
        pack_scales(tile + 64, scales, mins)
        high, words = view(tile + 256, i32x16), view(tile + 768, i32x16)
        for k in range(8):
            high[k] = i32x16(0)
        for k in range(32):
            first = k // 8 * 64 + k % 8 * 4
            low, next = four_bytes(q, first), four_bytes(q, first + 32)
            words[k] = low_nibbles(low) | (low_nibbles(next) << 4)
            bits = ((low >> 4) & 0x01010101) | ((next >> 3) & 0x02020202)
            high[k % 8] = high[k % 8] | (bits << (k // 8 * 2))

    return quantize


UNITS = (Unit(0, 2, 2), Unit(2, 2, 2), Unit(4, 12, 1), Unit(16, 32, 4), Unit(48, 128, 4))
FIT = range_fit(32, 31, by_magnitude_and_size, range_search(32, 31, (-0.5, 0.1, 15)), round_to_largest(8, 63))
WEIGHTED_FIT = range_fit(32, 31, by_importance(2), range_search(32, 31, (-0.9, 0.05, 36)), positive_descent(8, 63))
PACKING = Packing(256, 176, UNITS, quantizer(FIT))
WEIGHTED = Packing(256, 176, UNITS, quantizer(WEIGHTED_FIT), is_weighted=True)
Q5_K = QuantType(GGMLType.Q5_K, LAYOUT, dequantize, PACKING, WEIGHTED)


@inlined
def part(tile, h, q):
    high = view(tile + 256, i32x16)
    words = view(tile + 768, i32x16) + h * 8
    for k in range(8):
        bits = high[k] >> (2 * h)
        q[k] = low_nibbles(words[k]) | ((bits << 4) & 0x10101010)
        q[k + 8] = high_nibbles(words[k]) | ((bits << 3) & 0x10101010)


TILE = Tile(256, 176, UNITS, 64, 32, has_min=True, bias=0, scales=tile_scales, part=part)
