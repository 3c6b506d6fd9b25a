"""Q4_1: 32 values of 4 bits, one scale and one minimum."""

from __future__ import annotations

from typing import Any

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.pack import Packing
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack
from llamakit.core.quants.legacy import extreme_range, weighted_range
from llamakit.core.quants.pack_parts import low_and_high
from llamakit.core.quants.tile_parts import high_nibbles, low_nibbles, scale_and_min
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import registers, view
from llamakit.core.simd.records import i32x16

LAYOUT = np.dtype([("d", "<f2"), ("m", "<f2"), ("qs", "u1", (16,))])  # nibbles as in Q4_0


def dequantize(blocks: Blocks) -> Floats:
    """x = d * q + m   (n_blocks,) -> (n_blocks, 32)"""
    q = unpack(blocks["qs"], n_bits=4, run=16)
    return column(blocks["d"]) * q + column(blocks["m"])


def quantizer(fit: Any) -> Any:
    @helper
    def quantize(blocks, tile):
        q = registers(i32x16, 32)
        fit(blocks, tile, q)
        words = view(tile + 64, i32x16)
        for k in range(4):
            words[k] = low_and_high(q, 4 * k, 4 * k + 16)

    return quantize


UNITS = (Unit(0, 2, 2), Unit(2, 2, 2), Unit(4, 16, 4))
PACKING = Packing(32, 20, UNITS, quantizer(extreme_range(15)))
WEIGHTED = Packing(32, 20, UNITS, quantizer(weighted_range(15)), is_weighted=True, has_row_size=True)
Q4_1 = QuantType(GGMLType.Q4_1, LAYOUT, dequantize, PACKING, WEIGHTED)


@inlined
def part(tile, h, q):
    words = view(tile + 64, i32x16)
    for c in range(4):
        q[c], q[c + 4] = low_nibbles(words[c]), high_nibbles(words[c])


TILE = Tile(32, 20, UNITS, 32, 32, has_min=True, bias=0, scales=scale_and_min, part=part)
