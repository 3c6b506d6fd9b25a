"""NVFP4: 64 values of 4-bit floats; every 16 have a scale that is an unsigned 8-bit float (E4M3)."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.pack import Packing
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType
from llamakit.core.quants.bits import unpack
from llamakit.core.quants.fp4 import BIAS, HIGH, LOW, VALUES, nearest_values
from llamakit.core.quants.pack_parts import low_and_high
from llamakit.core.quants.search.groups import largest_magnitude
from llamakit.core.quants.tile_parts import high_nibbles, low_nibbles
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import (
    as_int,
    half_to_float,
    less,
    less_i32,
    look_up,
    narrow,
    registers,
    select,
    select_i32,
    to_int,
    view,
    vmin_i32,
    widen,
)
from llamakit.core.simd.records import f32x16, i8x16, i32x16

LAYOUT = np.dtype([("d", "u1", (4,)), ("qs", "u1", (32,))])  # 8 bytes hold 16 values: low nibbles first


def _ue4m3(code: int) -> float:
    """Four bits of exponent biased by 7, three of mantissa, subnormals below 2^-6; the top bit means nothing."""
    exponent, mantissa = code >> 3 & 15, code & 7
    if code == 0x7F:  # not a number
        return 0.0
    return mantissa * 2.0**-9 if exponent == 0 else (8 + mantissa) * 2.0 ** (exponent - 10)


UE4M3 = np.array([_ue4m3(code) for code in range(256)], np.float32)


def dequantize(blocks: Blocks) -> Floats:
    """x = scale / 2 * values[q], as the values are doubled.   (n_blocks,) -> (n_blocks, 64)"""
    values = VALUES[unpack(blocks["qs"], n_bits=4, run=8)].reshape(-1, 4, 16)
    scale: Floats = UE4M3[blocks["d"]] / np.float32(2)
    return (scale[:, :, None] * values).reshape(-1, 64)


@inlined
def nearest_ue4m3(x):
    """Code of the nearest 8-bit float of x >= 0, halves up.

    Two quirks of ggml: a subnormal is never rounded up to 2^-6, and all from 248 up becomes 448 (0x7E).
    """
    bits = as_int(x)
    code = (bits >> 20) - i32x16((127 - 7) << 3) + ((bits >> 19) & 1)
    code = select_i32(less_i32(code, i32x16(0x78)), code, i32x16(0x7E))
    subnormal = vmin_i32(to_int(x * 512.0 + 0.5), i32x16(7))
    return select_i32(less(x, f32x16(2.0**-6)), subnormal, code)


@inlined
def half_scale_of(code):
    """Half of the 8-bit float, which is a half float with a shorter significand and another bias."""
    is_number = less_i32(code, i32x16(0x7F))  # as signed bytes: with the top bit set, they are below as well
    return select(is_number, half_to_float((code & 0x7F) << 7) * 128.0, f32x16(0))


@helper
def quantize(blocks, tile):
    """The largest magnitude of every 16 is put at 6, the largest 4-bit float."""
    q, codes, words = registers(i32x16, 64), view(tile, i8x16), view(tile + 64, i32x16)
    for s in range(4):
        x = blocks.x + 16 * s
        code = nearest_ue4m3(largest_magnitude(x, 16) / 6.0)
        codes[s] = narrow(code)
        nearest_values(x, 16, half_scale_of(code), q + 16 * s)
        for c in range(2):
            words[2 * s + c] = low_and_high(q, 16 * s + 4 * c, 16 * s + 4 * c + 8)


UNITS = (Unit(0, 4, 1), Unit(4, 32, 4))
PACKING = Packing(64, 36, UNITS, quantize)
NVFP4 = QuantType(GGMLType.NVFP4, LAYOUT, dequantize, PACKING)


@inlined
def tile_scales(tile, d, m):
    codes = view(tile, i8x16)
    for s in range(4):
        d[s] = half_scale_of(widen(codes[s]))


@inlined
def part(tile, h, q):
    words = view(tile + 64, i32x16)
    for s in range(4):
        for c in range(2):
            word = words[2 * s + c]
            q[4 * s + c] = look_up(low_nibbles(word), LOW, HIGH)
            q[4 * s + c + 2] = look_up(high_nibbles(word), LOW, HIGH)


TILE = Tile(64, 36, UNITS, 64, 16, has_min=False, bias=BIAS, scales=tile_scales, part=part)
