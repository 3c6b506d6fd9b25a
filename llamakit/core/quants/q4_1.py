"""Q4_1: 32 values of 4 bits, one scale and one minimum."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import pack, unpack
from llamakit.core.quants.legacy import fit_range
from llamakit.core.quants.tile_parts import high_nibbles, low_nibbles, scale_and_min
from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import view
from llamakit.core.simd.records import i32x16

LAYOUT = np.dtype([("d", "<f2"), ("m", "<f2"), ("qs", "u1", (16,))])  # nibbles as in Q4_0


def dequantize(blocks: Blocks) -> Floats:
    """x = d * q + m   (n_blocks,) -> (n_blocks, 32)"""
    q = unpack(blocks["qs"], n_bits=4, run=16)
    return column(blocks["d"]) * q + column(blocks["m"])


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """(n_rows, n) -> (n_rows * n / 32,)"""
    d, m, q = fit_range(rows, imatrix, n_max=15)
    blocks = np.empty(len(q), LAYOUT)
    blocks["d"] = d
    blocks["m"] = m
    blocks["qs"] = pack(q, n_bits=4, run=16)
    return blocks


Q4_1 = QuantType(GGMLType.Q4_1, LAYOUT, dequantize, quantize)


@inlined
def part(tile, h, q):
    words = view(tile + 64, i32x16)
    for c in range(4):
        q[c], q[c + 4] = low_nibbles(words[c]), high_nibbles(words[c])


UNITS = (Unit(0, 2, 2), Unit(2, 2, 2), Unit(4, 16, 4))
TILE = Tile(32, 20, UNITS, 32, 32, has_min=True, bias=0, scales=scale_and_min, part=part)
