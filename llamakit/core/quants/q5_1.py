"""Q5_1: 32 values of 5 bits, one scale and one minimum."""

from __future__ import annotations

from typing import Any

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.pack import Packing
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack
from llamakit.core.quants.legacy import extreme_range, weighted_range
from llamakit.core.quants.pack_parts import fifth_bits_of, four_bytes
from llamakit.core.quants.tile_parts import fifth_bits, high_nibbles, low_nibbles, scale_and_min
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import registers, view
from llamakit.core.simd.records import i32x16

LAYOUT = np.dtype([("d", "<f2"), ("m", "<f2"), ("qh", "u1", (4,)), ("qs", "u1", (16,))])  # bits as in Q5_0


def dequantize(blocks: Blocks) -> Floats:
    """x = d * q + m   (n_blocks,) -> (n_blocks, 32)"""
    q = unpack(blocks["qs"], n_bits=4, run=16) | unpack(blocks["qh"], n_bits=1, run=1) << 4
    return column(blocks["d"]) * q + column(blocks["m"])


def quantizer(fit: Any) -> Any:
    @helper
    def quantize(blocks, tile):
        q = registers(i32x16, 32)
        fit(blocks, tile, q)
        view(tile + 64, i32x16)[0] = fifth_bits_of(q)
        words = view(tile + 128, i32x16)
        for k in range(4):
            words[k] = low_nibbles(four_bytes(q, 4 * k)) | (low_nibbles(four_bytes(q, 4 * k + 16)) << 4)

    return quantize


UNITS = (Unit(0, 2, 2), Unit(2, 2, 2), Unit(4, 4, 4), Unit(8, 16, 4))
PACKING = Packing(32, 24, UNITS, quantizer(extreme_range(31)))
WEIGHTED = Packing(32, 24, UNITS, quantizer(weighted_range(31)), is_weighted=True, has_row_size=True)
Q5_1 = QuantType(GGMLType.Q5_1, LAYOUT, dequantize, PACKING, WEIGHTED)


@inlined
def part(tile, h, q):
    high = view(tile + 64, i32x16)[0]
    words = view(tile + 128, i32x16)
    for c in range(4):
        q[c] = low_nibbles(words[c]) | fifth_bits(high >> (4 * c))
        q[c + 4] = high_nibbles(words[c]) | fifth_bits(high >> (4 * c + 16))


TILE = Tile(32, 24, UNITS, 32, 32, has_min=True, bias=0, scales=scale_and_min, part=part)
