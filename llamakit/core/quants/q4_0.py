"""Q4_0: 32 values of 4 bits and one scale."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import pack, unpack
from llamakit.core.quants.legacy import fit_scale
from llamakit.core.quants.tile_parts import high_nibbles, low_nibbles, scale
from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import view
from llamakit.core.simd.records import i32x16

LAYOUT = np.dtype([("d", "<f2"), ("qs", "u1", (16,))])  # low nibbles are values 0-15, high nibbles 16-31


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (q - 8)   (n_blocks,) -> (n_blocks, 32)"""
    q = unpack(blocks["qs"], n_bits=4, run=16).view(np.int8) - np.int8(8)
    return column(blocks["d"]) * q


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """(n_rows, n) -> (n_rows * n / 32,)"""
    d, q = fit_scale(rows, imatrix, n_max=8)
    blocks = np.empty(len(q), LAYOUT)
    blocks["d"] = d
    blocks["qs"] = pack(q, n_bits=4, run=16)
    return blocks


Q4_0 = QuantType(GGMLType.Q4_0, LAYOUT, dequantize, quantize)


@inlined
def part(tile, h, q):
    words = view(tile + 32, i32x16)
    for c in range(4):
        q[c], q[c + 4] = low_nibbles(words[c]), high_nibbles(words[c])


TILE = Tile(32, 18, (Unit(0, 2, 2), Unit(2, 16, 4)), 32, 32, has_min=False, bias=8, scales=scale, part=part)
