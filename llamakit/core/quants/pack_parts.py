"""What the quantizers of several types share when they fill a tile: the inverse of `tile_parts.py`."""

from __future__ import annotations

from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import view
from llamakit.core.simd.records import f16x16


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
