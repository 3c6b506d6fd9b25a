"""What the quantizers of several types share when they fill a tile: the inverse of `tile_parts.py`."""

from __future__ import annotations

from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import view
from llamakit.core.simd.records import f16x16, i32x16


@inlined
def four_bytes(q, i):
    """Integers i .. i + 3, each below 256, as the bytes of a word, lowest first."""
    return q[i] | (q[i + 1] << 8) | (q[i + 2] << 16) | (q[i + 3] << 24)


@inlined
def store_half(tile, offset, x):
    """One f16 of each block; returns it as stored."""
    place = view(tile + offset, f16x16)
    place[0] = x
    return place[0]


@inlined
def low_and_high(q, low, high):
    """Integers below 16, those from `low` on in the low nibbles of a word, those from `high` on in the high ones."""
    return four_bytes(q, low) | (four_bytes(q, high) << 4)


@inlined
def two_bits(q, first, step):
    """Integers below 4: those from `first`, first + step, first + 2 step, first + 3 step on, bit pair by bit pair."""
    low = four_bytes(q, first) | (four_bytes(q, first + step) << 2)
    return low | (four_bytes(q, first + 2 * step) << 4) | (four_bytes(q, first + 3 * step) << 6)


@helper
def fifth_bits_of(q):
    """Bit 4 of each of 32 integers, the first lowest."""
    bits = i32x16(0)
    for i in range(32):
        bits = bits | (((q[i] >> 4) & 1) << i)
    return bits
