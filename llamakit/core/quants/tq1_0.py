"""TQ1_0: 256 values of -1, 0 or 1, five to a byte, and one scale."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.pack import Packing
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Bytes, Floats, QuantType, column
from llamakit.core.quants.pack_parts import four_bytes, store_half
from llamakit.core.quants.ternary import fit_ternary
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import registers, view
from llamakit.core.simd.records import f16x16, i32x16

LAYOUT = np.dtype(
    [
        ("qs", "u1", (48,)),  # digit n of bytes 0-31 is value 32 n + byte; of bytes 32-47, value 160 + 16 n + byte
        ("qh", "u1", (4,)),  # four digits: digit n is value 240 + 4 n + byte
        ("d", "<f2"),
    ]
)

# A byte is the fraction 0.abcde to base 3 in units of 1 / 256, rounded up: the first digit is the carry of 3 * byte.
DIGITS = 5


def unpack_digits(packed: Bytes, n_digits: int) -> Bytes:
    """(n_blocks, n_bytes) -> (n_blocks, n_digits * n_bytes), all first digits, then all second ones, ..."""
    powers = np.array([3**n for n in range(n_digits)], np.uint8)[:, None]
    fraction = (packed[:, None, :] * powers).astype(np.uint16)
    return (fraction * np.uint16(3) >> 8).astype(np.uint8).reshape(len(packed), -1)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (digit - 1)   (n_blocks,) -> (n_blocks, 256)"""
    parts = [
        unpack_digits(blocks["qs"][:, :32], n_digits=5),
        unpack_digits(blocks["qs"][:, 32:], n_digits=5),
        unpack_digits(blocks["qh"], n_digits=4),
    ]
    return column(blocks["d"]) * (np.concatenate(parts, axis=1).view(np.int8) - np.int8(1))


UNITS = (Unit(52, 2, 2), Unit(0, 52, 4))


@inlined
def digits_of(q, first, stride, n):
    """Integers of which each has digits q[first + stride * k] to base 3, k < n, the first highest; five in all.

    As the fraction that `dequantize` takes apart: (256 number + 242) / 243 toward zero.
    """
    number = i32x16(0)
    for k in range(DIGITS):
        number = number * 3
        if k < n:
            number = number + q[first + stride * k]
    return ((number * 256 + 242) * 17261) >> 22  # exact for all numbers below 243


@helper
def quantize(blocks, tile):
    q, packed = registers(i32x16, 256), registers(i32x16, 52)
    store_half(tile, 0, fit_ternary(blocks.x, q))
    for i in range(32):
        packed[i] = digits_of(q, i, 32, 5)
    for i in range(16):
        packed[32 + i] = digits_of(q, 160 + i, 16, 5)
    for i in range(4):
        packed[48 + i] = digits_of(q, 240 + i, 4, 4)
    words = view(tile + 32, i32x16)
    for u in range(13):
        words[u] = four_bytes(packed, 4 * u)


PACKING = Packing(256, 54, UNITS, quantize)
TQ1_0 = QuantType(GGMLType.TQ1_0, LAYOUT, dequantize, PACKING)


@inlined
def tile_scales(tile, d, m):
    step = view(tile, f16x16)[0]
    for k in range(8):
        d[k] = step


@inlined
def digits(word, q, first, stride, n):
    """q[first + stride * k] = digit k of the four bytes of each word, k < n: what is carried into the next byte."""
    even, odd = word & 0x00FF00FF, (word >> 8) & 0x00FF00FF
    for k in range(n):
        even, odd = even + even + even, odd + odd + odd
        q[first + stride * k] = ((even >> 8) & 0x00030003) | (odd & 0x03000300)
        even, odd = even & 0x00FF00FF, odd & 0x00FF00FF


@inlined
def part(tile, h, q):
    words = view(tile + 32, i32x16)
    if h == 0:
        for u in range(8):
            digits(words[u], q, u, 8, 4)
    else:
        for u in range(8):
            word = words[u]
            even, odd = ((word & 0x00FF00FF) * 81) & 0x00FF00FF, (((word >> 8) & 0x00FF00FF) * 81) & 0x00FF00FF
            q[u] = (((even + even + even) >> 8) & 0x00030003) | ((odd + odd + odd) & 0x03000300)
        for u in range(4):
            digits(words[8 + u], q, 8 + u, 4, 5)
        digits(words[12], q, 28, 1, 4)


TILE = Tile(256, 54, UNITS, 128, 32, has_min=False, bias=1, scales=tile_scales, part=part)
