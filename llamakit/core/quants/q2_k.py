"""Q2_K: 256 values of 2 bits; every 16 have a scale and a minimum of 4 bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.pack import Packing
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack
from llamakit.core.quants.pack_parts import two_bits
from llamakit.core.quants.search.descent import positive_descent
from llamakit.core.quants.search.ranges import range_search
from llamakit.core.quants.search.superblocks import QK_K, by_importance, by_magnitude, range_fit, round_to_largest
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import narrow, registers, to_float, view, widen
from llamakit.core.simd.records import f16x16, i8x16, i32x16

LAYOUT = np.dtype(
    [
        ("scales", "u1", (16,)),  # of sub-block j: scale in the low nibble, minimum in the high one
        ("qs", "u1", (64,)),  # bits 0-1 of bytes 0-31 are values 0-31, bits 2-3 are values 32-63, ...
        ("d", "<f2"),
        ("dmin", "<f2"),
    ]
)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * scale * q - dmin * min   (n_blocks,) -> (n_blocks, 256)"""
    q = unpack(blocks["qs"], n_bits=2, run=32).reshape(-1, 16, 16)
    scale: Floats = column(blocks["d"]) * (blocks["scales"] & 15)
    minimum: Floats = column(blocks["dmin"]) * (blocks["scales"] >> 4)
    return (scale[:, :, None] * q - minimum[:, :, None]).reshape(-1, 256)


def quantizer(fit: Any) -> Any:
    @helper
    def quantize(blocks, tile):
        q, scales, mins = registers(i32x16, QK_K), registers(i32x16, 16), registers(i32x16, 16)
        fit(blocks, tile, q, scales, mins)
        rows, words = view(tile + 64, i8x16), view(tile + 320, i32x16)
        for j in range(16):
            rows[j] = narrow(scales[j] | (mins[j] << 4))
        for u in range(16):
            words[u] = two_bits(q, u // 8 * 128 + u % 8 * 4, 32)

    return quantize


UNITS = (Unit(80, 2, 2), Unit(82, 2, 2), Unit(0, 16, 1), Unit(16, 64, 4))
FIT = range_fit(16, 3, by_magnitude, range_search(16, 3, (-0.5, 0.1, 15), use_mad=True), round_to_largest(16, 15))
WEIGHTED_FIT = range_fit(16, 3, by_importance(1), range_search(16, 3, (-0.9, 0.05, 36)), positive_descent(16, 15))
PACKING = Packing(256, 84, UNITS, quantizer(FIT))
WEIGHTED = Packing(256, 84, UNITS, quantizer(WEIGHTED_FIT), is_weighted=True)
Q2_K = QuantType(GGMLType.Q2_K, LAYOUT, dequantize, PACKING, WEIGHTED)


@inlined
def tile_scales(tile, d, m):
    """D = d * scale, M = -dmin * min for each 16 columns; a byte holds both."""
    step, minimum = view(tile, f16x16)[0], 0.0 - view(tile + 32, f16x16)[0]
    scales = view(tile + 64, i8x16)
    for s in range(16):
        both = widen(scales[s])
        d[s] = step * to_float(both & 15)
        m[s] = minimum * to_float((both >> 4) & 15)


@inlined
def part(tile, h, q):
    words = view(tile + 320, i32x16) + h * 8
    for u in range(8):
        for k in range(4):
            q[8 * k + u] = (words[u] >> (2 * k)) & 0x03030303


TILE = Tile(256, 84, UNITS, 128, 16, has_min=True, bias=0, scales=tile_scales, part=part)
