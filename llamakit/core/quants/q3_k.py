"""Q3_K: 256 values of 3 bits; every 16 have a signed scale of 6 bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.pack import Packing
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack
from llamakit.core.quants.pack_parts import four_bytes, two_bits
from llamakit.core.quants.search.descent import signed_descent
from llamakit.core.quants.search.steps import step_search
from llamakit.core.quants.search.superblocks import QK_K, by_importance, by_square, round_to_peak, step_fit
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import narrow, registers, to_float, view, widen
from llamakit.core.simd.records import f16x16, i8x16, i32x16

LAYOUT = np.dtype(
    [
        ("hmask", "u1", (32,)),  # bit i // 32 of byte i % 32 is the high bit of value i
        ("qs", "u1", (64,)),  # low two bits, as in Q2_K
        ("scales", "u1", (12,)),  # 8 bytes of low nibbles (scales 0-7, then 8-15), 4 bytes of high bit pairs
        ("d", "<f2"),
    ]
)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (scale - 32) * (q - 4)   (n_blocks,) -> (n_blocks, 256)"""
    q = unpack(blocks["qs"], n_bits=2, run=32) | unpack(blocks["hmask"], n_bits=1, run=32) << 2
    low = unpack(blocks["scales"][:, :8], n_bits=4, run=8)
    high = unpack(blocks["scales"][:, 8:], n_bits=2, run=4)
    scale = (low | high << 4).view(np.int8) - np.int8(32)
    step: Floats = column(blocks["d"]) * scale
    return (step[:, :, None] * (q.view(np.int8) - np.int8(4)).reshape(-1, 16, 16)).reshape(-1, 256)


def quantizer(fit: Any) -> Any:
    @helper
    def quantize(blocks, tile):
        q, scales = registers(i32x16, QK_K), registers(i32x16, 16)
        fit(blocks, tile, q, scales)
        rows = view(tile + 32, i8x16)
        for j in range(8):
            rows[j] = narrow((scales[j] & 15) | ((scales[j + 8] & 15) << 4))
        for j in range(4):
            high = (scales[j] >> 4) | ((scales[j + 4] >> 4) << 2)
            rows[j + 8] = narrow(high | ((scales[j + 8] >> 4) << 4) | ((scales[j + 12] >> 4) << 6))
        high_bits, words = view(tile + 224, i32x16), view(tile + 736, i32x16)
        for u in range(8):
            high = i32x16(0)
            for k in range(8):
                high = high | (((four_bytes(q, 32 * k + 4 * u) >> 2) & 0x01010101) << k)
            high_bits[u] = high
        for i in range(QK_K):
            q[i] = q[i] & 3
        for u in range(16):
            words[u] = two_bits(q, u // 8 * 128 + u % 8 * 4, 32)

    return quantize


UNITS = (Unit(108, 2, 2), Unit(96, 12, 1), Unit(0, 32, 4), Unit(32, 64, 4))
FIT = step_fit(16, 4, by_square, signed_descent(16, 4), round_to_peak(16, 32, 32), scale_bias=32)
WEIGHTED_FIT = step_fit(16, 4, by_importance(2), step_search(16, 4), step_search(16, 32), scale_bias=32)
PACKING = Packing(256, 110, UNITS, quantizer(FIT))
WEIGHTED = Packing(256, 110, UNITS, quantizer(WEIGHTED_FIT), is_weighted=True)
Q3_K = QuantType(GGMLType.Q3_K, LAYOUT, dequantize, PACKING, WEIGHTED)


@inlined
def tile_scales(tile, d, m):
    """D = d * (scale - 32) for each 16 columns: four low bits in one byte, two high bits in another."""
    step = view(tile, f16x16)[0]
    scales = view(tile + 32, i8x16)
    for s in range(16):
        low = (widen(scales[s % 8]) >> (4 * (s // 8))) & 15
        high = (widen(scales[8 + s % 4]) >> (2 * (s // 4))) & 3
        d[s] = step * to_float((low | (high << 4)) - 32)


@inlined
def part(tile, h, q):
    high = view(tile + 224, i32x16)
    words = view(tile + 736, i32x16) + h * 8
    for u in range(8):
        for k in range(4):
            bit = (high[u] >> (4 * h + k)) & 0x01010101
            q[8 * k + u] = ((words[u] >> (2 * k)) & 0x03030303) | (bit << 2)


TILE = Tile(256, 110, UNITS, 128, 16, has_min=False, bias=4, scales=tile_scales, part=part)
