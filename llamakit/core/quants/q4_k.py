"""Q4_K: 256 values of 4 bits; every 32 have a scale and a minimum of 6 bits."""

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
from llamakit.core.quants.pack_parts import low_and_high
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
        ("qs", "u1", (128,)),  # 32 bytes hold 64 values: low nibbles the first 32, high nibbles the second
    ]
)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * scale * q - dmin * min   (n_blocks,) -> (n_blocks, 256)"""
    q = unpack(blocks["qs"], n_bits=4, run=32).reshape(-1, 8, 32)
    scales, mins = unpack_scales(blocks["scales"])
    step: Floats = column(blocks["d"]) * scales
    minimum: Floats = column(blocks["dmin"]) * mins
    return (step[:, :, None] * q - minimum[:, :, None]).reshape(-1, 256)


def quantizer(fit: Any) -> Any:
    @helper
    def quantize(blocks, tile):
        q, scales, mins = registers(i32x16, QK_K), registers(i32x16, 8), registers(i32x16, 8)
        fit(blocks, tile, q, scales, mins)
        pack_scales(tile + 64, scales, mins)
        words = view(tile + 256, i32x16)
        for k in range(32):
            first = k // 8 * 64 + k % 8 * 4
            words[k] = low_and_high(q, first, first + 32)

    return quantize


UNITS = (Unit(0, 2, 2), Unit(2, 2, 2), Unit(4, 12, 1), Unit(16, 128, 4))
FIT = range_fit(32, 15, by_magnitude_and_size, range_search(32, 15, (-1.0, 0.1, 20)), round_to_largest(8, 63))
WEIGHTED_FIT = range_fit(32, 15, by_importance(2), range_search(32, 15, (-0.9, 0.05, 36)), positive_descent(8, 63))
PACKING = Packing(256, 144, UNITS, quantizer(FIT))
WEIGHTED = Packing(256, 144, UNITS, quantizer(WEIGHTED_FIT), is_weighted=True)
Q4_K = QuantType(GGMLType.Q4_K, LAYOUT, dequantize, PACKING, WEIGHTED)


@inlined
def part(tile, h, q):
    words = view(tile + 256, i32x16) + h * 8
    for k in range(8):
        q[k], q[k + 8] = low_nibbles(words[k]), high_nibbles(words[k])


TILE = Tile(256, 144, UNITS, 64, 32, has_min=True, bias=0, scales=tile_scales, part=part)
