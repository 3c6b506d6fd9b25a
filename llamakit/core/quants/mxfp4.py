"""MXFP4: 32 values of 4-bit floats and one scale that is a power of two (OCP microscaling formats, v1.0)."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.pack import Packing
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Bytes, Floats, QuantType
from llamakit.core.quants.bits import unpack
from llamakit.core.quants.fp4 import BIAS, HIGH, LOW, VALUES, nearest_values
from llamakit.core.quants.pack_parts import low_and_high
from llamakit.core.quants.search.groups import largest_magnitude
from llamakit.core.quants.tile_parts import high_nibbles, low_nibbles
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import (
    as_float,
    as_int,
    less,
    less_i32,
    look_up,
    narrow,
    registers,
    select,
    select_i32,
    to_float,
    vabs,
    view,
    vmax_i32,
    vmin_i32,
    widen,
)
from llamakit.core.simd.records import f32x16, i8x16, i32x16

LAYOUT = np.dtype([("e", "u1"), ("qs", "u1", (16,))])  # exponent biased by 127; nibbles as in Q4_0

LN_2 = 0.6931472


def half_scale(e: Bytes) -> Floats:
    """Half the scale, as the values are doubled: 2^(e - 128)."""
    return np.ldexp(np.float32(1), e.astype(np.int32) - 128)


def dequantize(blocks: Blocks) -> Floats:
    """x = 2^(e - 128) * values[q]   (n_blocks,) -> (n_blocks, 32)"""
    return half_scale(blocks["e"])[:, None] * VALUES[unpack(blocks["qs"], n_bits=4, run=16)]


@inlined
def half_scale_of(e):
    """2^(e - 128): the bits of a float, which below 2^-126 has no exponent."""
    is_small = less_i32(e, i32x16(2))
    return select(is_small, as_float((e + i32x16(1)) << 21), as_float((e - i32x16(1)) << 23))


@inlined
def exponent_of(x):
    """floor(log2(x)) + 127 for x >= 0, with the logarithm rounded to a float before, as log2f does.

    So just below a power of two, 2^k, it is k: where x = 2^k (1 - n / 2^24) with n / ln 2 below the step of floats
    there, which is that of floats just below k.
    """
    bits = as_int(x)
    biased = bits >> 23
    k = to_float(biased - i32x16(126))
    before = as_int(vabs(k)) - select_i32(less(f32x16(0.0), k), i32x16(1), i32x16(0))
    n = to_float(i32x16(0x800000) - (bits & 0x7FFFFF))
    is_next = less(n, as_float(before & 0x7F800000) * LN_2)
    return biased - is_next


@helper
def quantize(blocks, tile):
    """The largest magnitude is put into the top binade of the 4-bit floats."""
    e = exponent_of(largest_magnitude(blocks.x, 32)) - i32x16(2)
    e = vmin_i32(vmax_i32(e, i32x16(0)), i32x16(254))
    view(tile, i8x16)[0] = narrow(e)
    q = registers(i32x16, 32)
    nearest_values(blocks.x, 32, half_scale_of(e), q)
    words = view(tile + 16, i32x16)
    for k in range(4):
        words[k] = low_and_high(q, 4 * k, 4 * k + 16)


UNITS = (Unit(0, 1, 1), Unit(1, 16, 4))
PACKING = Packing(32, 17, UNITS, quantize)
MXFP4 = QuantType(GGMLType.MXFP4, LAYOUT, dequantize, PACKING)


@inlined
def tile_scales(tile, d, m):
    d[0] = half_scale_of(widen(view(tile, i8x16)[0]) & 255)


@inlined
def part(tile, h, q):
    words = view(tile + 16, i32x16)
    for c in range(4):
        q[c], q[c + 4] = look_up(low_nibbles(words[c]), LOW, HIGH), look_up(high_nibbles(words[c]), LOW, HIGH)


TILE = Tile(32, 17, UNITS, 32, 32, has_min=False, bias=BIAS, scales=tile_scales, part=part)
