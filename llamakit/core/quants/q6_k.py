"""Q6_K: 256 values of 6 bits; every 16 have a signed scale of 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.pack import Packing
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack
from llamakit.core.quants.pack_parts import four_bytes
from llamakit.core.quants.search.groups import FLAT
from llamakit.core.quants.search.steps import step_search
from llamakit.core.quants.search.superblocks import QK_K, by_importance_alone, by_square, round_to_peak, step_fit
from llamakit.core.quants.tile_parts import high_nibbles, low_nibbles
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import less_i32, narrow, registers, select_i32, to_float, view, widen
from llamakit.core.simd.records import f16x16, i8x16, i32x16

LAYOUT = np.dtype(
    [
        ("ql", "u1", (128,)),  # 64 bytes hold the low four bits of 128 values: low nibbles first
        ("qh", "u1", (64,)),  # 32 bytes hold the high two bits of 128 values, in runs of 32
        ("scales", "i1", (16,)),
        ("d", "<f2"),
    ]
)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * scale * (q - 32)   (n_blocks,) -> (n_blocks, 256)"""
    q = unpack(blocks["ql"], n_bits=4, run=64) | unpack(blocks["qh"], n_bits=2, run=32) << 4
    step: Floats = column(blocks["d"]) * blocks["scales"]
    return (step[:, :, None] * (q.view(np.int8) - np.int8(32)).reshape(-1, 16, 16)).reshape(-1, 256)


def quantizer(fit: Any) -> Any:
    @helper
    def quantize(blocks, tile):
        q, scales = registers(i32x16, QK_K), registers(i32x16, 16)
        fit(blocks, tile, q, scales)
        rows, words = view(tile + 32, i8x16), view(tile + 288, i32x16)
        used = i32x16(0)
        for j in range(16):
            rows[j] = narrow(scales[j])
            used = used | scales[j]
        is_flat = less_i32(used, i32x16(1)) & less_i32(i32x16(-1), used)  # all scales are zero: so are the values
        for i in range(QK_K):
            q[i] = select_i32(is_flat, i32x16(0), q[i])
        for u in range(16):
            first = u // 8 * 128 + u % 8 * 4
            parts = words + 3 * u
            a, b = four_bytes(q, first), four_bytes(q, first + 32)
            c, d = four_bytes(q, first + 64), four_bytes(q, first + 96)
            parts[0], parts[1] = low_nibbles(a) | (low_nibbles(c) << 4), low_nibbles(b) | (low_nibbles(d) << 4)
            parts[2] = high_nibbles(a) | (high_nibbles(b) << 2) | (high_nibbles(c) << 4) | (high_nibbles(d) << 6)

    return quantize


# a part reads its low and high bits from three places of the block: here they follow each other
UNITS = (
    Unit(208, 2, 2),
    Unit(192, 16, 1),
    *(
        Unit(o, 4, 4)
        for h in (0, 1)
        for u in range(8)
        for o in (64 * h + 4 * u, 64 * h + 32 + 4 * u, 128 + 32 * h + 4 * u)
    ),
)
FIT = step_fit(16, 32, by_square, step_search(16, 32), round_to_peak(16, 128, 0, FLAT))
WEIGHTED_FIT = step_fit(16, 32, by_importance_alone, step_search(16, 32), round_to_peak(16, 128, 0, FLAT))
PACKING = Packing(256, 210, UNITS, quantizer(FIT))
WEIGHTED = Packing(256, 210, UNITS, quantizer(WEIGHTED_FIT), is_weighted=True)
Q6_K = QuantType(GGMLType.Q6_K, LAYOUT, dequantize, PACKING, WEIGHTED)


@inlined
def tile_scales(tile, d, m):
    """D = d * scale for each 16 columns; M is not used."""
    step = view(tile, f16x16)[0]
    scales = view(tile + 32, i8x16)
    for s in range(16):
        d[s] = step * to_float(widen(scales[s]))


@inlined
def part(tile, h, q):
    words = view(tile + 288, i32x16) + h * 24
    for u in range(8):
        first, second, high = words[3 * u], words[3 * u + 1], words[3 * u + 2]
        q[u] = low_nibbles(first) | ((high << 4) & 0x30303030)
        q[u + 8] = low_nibbles(second) | ((high << 2) & 0x30303030)
        q[u + 16] = high_nibbles(first) | (high & 0x30303030)
        q[u + 24] = high_nibbles(second) | ((high >> 2) & 0x30303030)


# a part reads its low and high bits from three places of the block: here they follow each other
TILE = Tile(256, 210, UNITS, 128, 16, has_min=False, bias=32, scales=tile_scales, part=part)
