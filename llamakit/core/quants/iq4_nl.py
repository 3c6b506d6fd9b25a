"""IQ4_NL: 32 values as indices into a codebook of sixteen, and one scale."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import pack, unpack
from llamakit.core.quants.iq4 import CODEBOOK, HIGH, LOW, fit_codebook, nearest_codes
from llamakit.core.quants.scales import columns, divide, repeat_rows, total
from llamakit.core.quants.tile_parts import high_nibbles, low_nibbles, scale
from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import look_up, view
from llamakit.core.simd.records import i32x16

LAYOUT = np.dtype([("d", "<f2"), ("qs", "u1", (16,))])  # nibbles as in Q4_0


def dequantize(blocks: Blocks) -> Floats:
    """x = d * codebook[q]   (n_blocks,) -> (n_blocks, 32)"""
    return column(blocks["d"]) * CODEBOOK[unpack(blocks["qs"], n_bits=4, run=16)]


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """(n_rows, n) -> (n_rows * n / 32,)"""
    x = columns(rows, 32)
    squares = x * x
    if imatrix is None:
        weights = squares
    else:
        weights = repeat_rows(imatrix, *x.shape) * np.sqrt(total(squares) * np.float32(2 / 32) + squares)
    d = fit_codebook(x, weights)
    blocks = np.empty(len(d), LAYOUT)
    blocks["d"] = d
    blocks["qs"] = pack(nearest_codes(divide(1, d) * x).T, n_bits=4, run=16)
    return blocks


IQ4_NL = QuantType(GGMLType.IQ4_NL, LAYOUT, dequantize, quantize)


@inlined
def part(tile, h, q):
    words = view(tile + 32, i32x16)
    for c in range(4):
        q[c], q[c + 4] = look_up(low_nibbles(words[c]), LOW, HIGH), look_up(high_nibbles(words[c]), LOW, HIGH)


TILE = Tile(32, 18, (Unit(0, 2, 2), Unit(2, 16, 4)), 32, 32, has_min=False, bias=128, scales=scale, part=part)
