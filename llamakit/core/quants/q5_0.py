"""Q5_0: 32 values of 5 bits and one scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.pack import Packing
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack
from llamakit.core.quants.legacy import extreme_scale, weighted_scale
from llamakit.core.quants.pack_parts import fifth_bits_of, four_bytes
from llamakit.core.quants.tile_parts import fifth_bits, high_nibbles, low_nibbles, scale
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import registers, view
from llamakit.core.simd.records import i32x16

LAYOUT = np.dtype([("d", "<f2"), ("qh", "u1", (4,)), ("qs", "u1", (16,))])  # bit i of qh is bit 4 of value i


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (q - 16)   (n_blocks,) -> (n_blocks, 32)"""
    q = unpack(blocks["qs"], n_bits=4, run=16) | unpack(blocks["qh"], n_bits=1, run=1) << 4
    return column(blocks["d"]) * (q.view(np.int8) - np.int8(16))


def quantizer(fit: Any) -> Any:
    @helper
    def quantize(blocks, tile):
        q = registers(i32x16, 32)
        fit(blocks, tile, q)
        view(tile + 32, i32x16)[0] = fifth_bits_of(q)
        words = view(tile + 96, i32x16)
        for k in range(4):
            words[k] = low_nibbles(four_bytes(q, 4 * k)) | (low_nibbles(four_bytes(q, 4 * k + 16)) << 4)

    return quantize


UNITS = (Unit(0, 2, 2), Unit(2, 4, 4), Unit(6, 16, 4))
PACKING = Packing(32, 22, UNITS, quantizer(extreme_scale(16)))
WEIGHTED = Packing(32, 22, UNITS, quantizer(weighted_scale(16)), is_weighted=True, has_row_size=True)
Q5_0 = QuantType(GGMLType.Q5_0, LAYOUT, dequantize, PACKING, WEIGHTED)


@inlined
def part(tile, h, q):
    high = view(tile + 32, i32x16)[0]
    words = view(tile + 96, i32x16)
    for c in range(4):
        q[c] = low_nibbles(words[c]) | fifth_bits(high >> (4 * c))
        q[c + 4] = high_nibbles(words[c]) | fifth_bits(high >> (4 * c + 16))


TILE = Tile(32, 22, UNITS, 32, 32, has_min=False, bias=16, scales=scale, part=part)
