"""IQ4_NL: 32 values as indices into a codebook of sixteen, and one scale."""

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
from llamakit.core.quants.search.groups import inverse, total_square
from llamakit.core.quants.tile_parts import high_nibbles, low_nibbles, scale
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import look_up, registers, view, vsqrt
from llamakit.core.simd.records import f32x16, i32x16

LAYOUT = np.dtype([("d", "<f2"), ("qs", "u1", (16,))])  # nibbles as in Q4_0


def dequantize(blocks: Blocks) -> Floats:
    """x = d * codebook[q]   (n_blocks,) -> (n_blocks, 32)"""
    return column(blocks["d"]) * CODEBOOK[unpack(blocks["qs"], n_bits=4, run=16)]


def quantizer(weigh: Any) -> Any:
    @helper
    def quantize(blocks, tile):
        weights, q = registers(f32x16, 32), registers(i32x16, 32)
        weigh(blocks, weights)
        d = codebook_search(blocks.x, weights, blocks.table)
        store_half(tile, 0, d)
        nearest_codes(blocks.x, inverse(d), blocks.table, q)
        words = view(tile + 32, i32x16)
        for k in range(4):
            words[k] = low_and_high(q, 4 * k, 4 * k + 16)

    return quantize


@helper
def by_square(blocks, weights):
    for i in range(32):
        weights[i] = blocks.x[i] * blocks.x[i]


@helper
def by_importance(blocks, weights):
    """importance * sqrt(2 * mean square of the block + x^2)"""
    mean_square = total_square(blocks.x, 32) * (2 / 32)
    for i in range(32):
        weights[i] = blocks.importance[i] * vsqrt(mean_square + blocks.x[i] * blocks.x[i])


UNITS = (Unit(0, 2, 2), Unit(2, 16, 4))
PACKING = Packing(32, 18, UNITS, quantizer(by_square), tables=codebook_tables)
WEIGHTED = Packing(32, 18, UNITS, quantizer(by_importance), is_weighted=True, tables=codebook_tables)
IQ4_NL = QuantType(GGMLType.IQ4_NL, LAYOUT, dequantize, PACKING, WEIGHTED)


@inlined
def part(tile, h, q):
    words = view(tile + 32, i32x16)
    for c in range(4):
        q[c], q[c + 4] = look_up(low_nibbles(words[c]), LOW, HIGH), look_up(high_nibbles(words[c]), LOW, HIGH)


TILE = Tile(32, 18, (Unit(0, 2, 2), Unit(2, 16, 4)), 32, 32, has_min=False, bias=128, scales=scale, part=part)
