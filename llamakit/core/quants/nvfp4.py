"""NVFP4: 64 values of 4-bit floats; every 16 have a scale that is an unsigned 8-bit float (E4M3)."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Bytes, Floats, QuantType
from llamakit.core.quants.bits import pack, unpack
from llamakit.core.quants.fp4 import BIAS, HIGH, LOW, VALUES, nearest_values
from llamakit.core.quants.tile_parts import high_nibbles, low_nibbles
from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import half_to_float, less_i32, look_up, select, view, widen
from llamakit.core.simd.records import f32x16, i8x16, i32x16

LAYOUT = np.dtype([("d", "u1", (4,)), ("qs", "u1", (32,))])  # 8 bytes hold 16 values: low nibbles first


def _ue4m3(code: int) -> float:
    """Four bits of exponent biased by 7, three of mantissa, subnormals below 2^-6; the top bit means nothing."""
    exponent, mantissa = code >> 3 & 15, code & 7
    if code == 0x7F:  # not a number
        return 0.0
    return mantissa * 2.0**-9 if exponent == 0 else (8 + mantissa) * 2.0 ** (exponent - 10)


UE4M3 = np.array([_ue4m3(code) for code in range(256)], np.float32)

# Two quirks of ggml: a subnormal is never rounded up to 2^-6, and all from 248 up becomes 448 (0x7E).
_BORDERS = (UE4M3[:0x7E] + UE4M3[1:0x7F]) / 2
_BORDERS[7] = UE4M3[8]
_BORDERS[0x78:] = _BORDERS[0x77]


def nearest_ue4m3(x: Floats) -> Bytes:
    """Code of the nearest 8-bit float of each x >= 0, halves up."""
    return np.searchsorted(_BORDERS, x, side="right").astype(np.uint8)


def dequantize(blocks: Blocks) -> Floats:
    """x = scale / 2 * values[q], as the values are doubled.   (n_blocks,) -> (n_blocks, 64)"""
    values = VALUES[unpack(blocks["qs"], n_bits=4, run=8)].reshape(-1, 4, 16)
    scale: Floats = UE4M3[blocks["d"]] / np.float32(2)
    return (scale[:, :, None] * values).reshape(-1, 64)


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """The largest magnitude of every 16 is put at 6, the largest 4-bit float.   (n_rows, n) -> (n_rows * n / 64,)"""
    x = rows.reshape(-1, 16)
    largest: Floats = np.abs(x).max(axis=1)
    d = nearest_ue4m3(largest / np.float32(6))
    blocks = np.empty(len(x) // 4, LAYOUT)
    blocks["d"] = d.reshape(-1, 4)
    blocks["qs"] = pack(nearest_values(x, UE4M3[d] / np.float32(2)).reshape(-1, 64), n_bits=4, run=8)
    return blocks


NVFP4 = QuantType(GGMLType.NVFP4, LAYOUT, dequantize, quantize)


@inlined
def tile_scales(tile, d, m):
    """D = half of the 8-bit float, which is a half float with a shorter significand and another bias."""
    codes = view(tile, i8x16)
    for s in range(4):
        code = widen(codes[s])
        is_number = less_i32(code, i32x16(0x7F))  # as signed bytes: with the top bit set, they are below as well
        d[s] = select(is_number, half_to_float((code & 0x7F) << 7) * 128.0, f32x16(0))


@inlined
def part(tile, h, q):
    words = view(tile + 64, i32x16)
    for s in range(4):
        for c in range(2):
            word = words[2 * s + c]
            q[4 * s + c] = look_up(low_nibbles(word), LOW, HIGH)
            q[4 * s + c + 2] = look_up(high_nibbles(word), LOW, HIGH)


UNITS = (Unit(0, 4, 1), Unit(4, 32, 4))
TILE = Tile(64, 36, UNITS, 64, 16, has_min=False, bias=BIAS, scales=tile_scales, part=part)
