"""Q5_0: 32 values of 5 bits and one scale."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import pack, unpack
from llamakit.core.quants.legacy import fit_scale
from llamakit.core.quants.tile_parts import fifth_bits, high_nibbles, low_nibbles, scale
from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import view
from llamakit.core.simd.records import i32x16

LAYOUT = np.dtype([("d", "<f2"), ("qh", "u1", (4,)), ("qs", "u1", (16,))])  # bit i of qh is bit 4 of value i


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (q - 16)   (n_blocks,) -> (n_blocks, 32)"""
    q = unpack(blocks["qs"], n_bits=4, run=16) | unpack(blocks["qh"], n_bits=1, run=1) << 4
    return column(blocks["d"]) * (q.view(np.int8) - np.int8(16))


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """(n_rows, n) -> (n_rows * n / 32,)"""
    d, q = fit_scale(rows, imatrix, n_max=16)
    blocks = np.empty(len(q), LAYOUT)
    blocks["d"] = d
    blocks["qh"] = pack(q >> 4, n_bits=1, run=1)
    blocks["qs"] = pack(q & 15, n_bits=4, run=16)
    return blocks


Q5_0 = QuantType(GGMLType.Q5_0, LAYOUT, dequantize, quantize)


@inlined
def part(tile, h, q):
    high = view(tile + 32, i32x16)[0]
    words = view(tile + 96, i32x16)
    for c in range(4):
        q[c] = low_nibbles(words[c]) | fifth_bits(high >> (4 * c))
        q[c + 4] = high_nibbles(words[c]) | fifth_bits(high >> (4 * c + 16))


UNITS = (Unit(0, 2, 2), Unit(2, 4, 4), Unit(6, 16, 4))
TILE = Tile(32, 22, UNITS, 32, 32, has_min=False, bias=16, scales=scale, part=part)
