"""MXFP4: 32 values of 4-bit floats and one scale that is a power of two (OCP microscaling formats, v1.0)."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Bytes, Floats, QuantType
from llamakit.core.quants.bits import pack, unpack
from llamakit.core.quants.fp4 import BIAS, HIGH, LOW, VALUES, nearest_values
from llamakit.core.quants.tile_parts import high_nibbles, low_nibbles
from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import as_float, less_i32, look_up, select, view, widen
from llamakit.core.simd.records import i8x16, i32x16

LAYOUT = np.dtype([("e", "u1"), ("qs", "u1", (16,))])  # exponent biased by 127; nibbles as in Q4_0


def half_scale(e: Bytes) -> Floats:
    """Half the scale, as the values are doubled: 2^(e - 128)."""
    return np.ldexp(np.float32(1), e.astype(np.int32) - 128)


def dequantize(blocks: Blocks) -> Floats:
    """x = 2^(e - 128) * values[q]   (n_blocks,) -> (n_blocks, 32)"""
    return half_scale(blocks["e"])[:, None] * VALUES[unpack(blocks["qs"], n_bits=4, run=16)]


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """The largest magnitude is put into the top binade of the 4-bit floats.   (n_rows, n) -> (n_rows * n / 32,)"""
    x = rows.reshape(-1, 32)
    largest = np.abs(x).max(axis=1)
    # The logarithm is rounded to float32 before the floor, as log2f does: just below a power of two it is the power.
    exponent = np.floor(np.log2(largest.astype(np.float64)).astype(np.float32))
    blocks = np.empty(len(x), LAYOUT)
    blocks["e"] = np.where(largest > 0, np.clip(exponent - 2 + 127, 0, 254), 0)
    blocks["qs"] = pack(nearest_values(x, half_scale(blocks["e"])), n_bits=4, run=16)
    return blocks


MXFP4 = QuantType(GGMLType.MXFP4, LAYOUT, dequantize, quantize)


@inlined
def tile_scales(tile, d, m):
    """D = 2^(e - 128): the bits of a float, which below 2^-126 has no exponent."""
    e = widen(view(tile, i8x16)[0]) & 255
    is_small = less_i32(e, i32x16(2))
    d[0] = select(is_small, as_float((e + 1) << 21), as_float((e - 1) << 23))


@inlined
def part(tile, h, q):
    words = view(tile + 16, i32x16)
    for c in range(4):
        q[c], q[c + 4] = look_up(low_nibbles(words[c]), LOW, HIGH), look_up(high_nibbles(words[c]), LOW, HIGH)


UNITS = (Unit(0, 1, 1), Unit(1, 16, 4))
TILE = Tile(32, 17, UNITS, 32, 32, has_min=False, bias=BIAS, scales=tile_scales, part=part)
