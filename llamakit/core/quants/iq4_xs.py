"""IQ4_XS: 256 values as indices into a codebook of sixteen; every 32 have a signed scale of 6 bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.pack import Packing
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack
from llamakit.core.quants.iq4 import CODEBOOK, HIGH, LOW
from llamakit.core.quants.pack_parts import low_and_high, store_half
from llamakit.core.quants.search.codebook import codebook_search, codebook_tables, nearest_codes
from llamakit.core.quants.search.groups import inverse, peak
from llamakit.core.quants.search.superblocks import QK_K, by_importance, by_square
from llamakit.core.quants.tile_parts import high_nibbles, low_nibbles
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import clamp, half_to_float, look_up, narrow, registers, to_float, to_int, view, vround
from llamakit.core.simd.records import f32x16, i8x16, i32x16

LAYOUT = np.dtype(
    [
        ("d", "<f2"),
        ("scales_h", "u1", (2,)),  # bits 4-5 of the eight scales
        ("scales_l", "u1", (4,)),  # bits 0-3
        ("qs", "u1", (128,)),  # 16 bytes hold a sub-block of 32, nibbles as in Q4_0
    ]
)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (scale - 32) * codebook[q]   (n_blocks,) -> (n_blocks, 256)"""
    values = CODEBOOK[unpack(blocks["qs"], n_bits=4, run=16)].reshape(-1, 8, 32)
    scales = unpack(blocks["scales_l"], n_bits=4, run=1) | unpack(blocks["scales_h"], n_bits=2, run=1) << 4
    step: Floats = column(blocks["d"]) * (scales.view(np.int8) - np.int8(32))
    return (step[:, :, None] * values).reshape(-1, 256)


def quantizer(weigh: Any) -> Any:
    @helper
    def quantize(blocks, tile):
        weights, scale, q = registers(f32x16, QK_K), registers(f32x16, 8), registers(i32x16, QK_K)
        weigh(blocks, weights)
        for j in range(8):
            scale[j] = codebook_search(blocks.x + j * 32, weights + j * 32, blocks.table)
        d = peak(scale, 8) / -32.0
        store_half(tile, 0, d)
        inverse_d, low, high = inverse(d), i32x16(0), i32x16(0)
        for j in range(8):
            level = clamp(vround(inverse_d * scale[j]), -32.0, 31.0)
            nearest_codes(blocks.x + j * 32, inverse(d * level), blocks.table, q + j * 32)
            biased = to_int(level) + i32x16(32)
            low, high = low | ((biased & 15) << (4 * j)), high | ((biased >> 4) << (2 * j))
        rows, words = view(tile + 32, i8x16), view(tile + 64, i32x16)
        rows[0], rows[1], words[0] = narrow(high & 0xFF), narrow(high >> 8), low
        for k in range(32):
            first = k // 4 * 32 + k % 4 * 4
            words[1 + k] = low_and_high(q, first, first + 16)

    return quantize


PACKED_UNITS = (Unit(0, 2, 2), Unit(2, 2, 1), Unit(4, 4, 4), Unit(8, 128, 4))
PACKING = Packing(256, 136, PACKED_UNITS, quantizer(by_square), tables=codebook_tables)
WEIGHTED = Packing(256, 136, PACKED_UNITS, quantizer(by_importance(2)), is_weighted=True, tables=codebook_tables)
IQ4_XS = QuantType(GGMLType.IQ4_XS, LAYOUT, dequantize, PACKING, WEIGHTED)


@inlined
def tile_scales(tile, d, m):
    """D = d * (scale - 32) for each 32 columns; M is not used."""
    words = view(tile, i32x16)
    first, low = words[0], words[1]  # the first has d in its lower half, scales_h in its upper one
    step = half_to_float(first)
    for k in range(8):
        scale = ((low >> (4 * k)) & 15) | ((first >> (16 + 2 * k) << 4) & 0x30)
        d[k] = step * to_float(scale - 32)


@inlined
def part(tile, h, q):
    words = view(tile + 128, i32x16) + h * 8
    for b in range(2):
        for c in range(4):
            q[8 * b + c] = look_up(low_nibbles(words[4 * b + c]), LOW, HIGH)
            q[8 * b + c + 4] = look_up(high_nibbles(words[4 * b + c]), LOW, HIGH)


UNITS = (Unit(0, 4, 4), Unit(4, 4, 4), Unit(8, 128, 4))
TILE = Tile(256, 136, UNITS, 64, 32, has_min=False, bias=128, scales=tile_scales, part=part)
