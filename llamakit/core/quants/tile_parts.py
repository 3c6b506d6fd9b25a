"""What the tile unpackers of several types share: see `kernels/tile.py` for what they leave."""

from __future__ import annotations

from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import view
from llamakit.core.simd.records import f16x16


@inlined
def scale(tile, d, m):
    """One f16 scale of each row in front; M is not used."""
    d[0] = view(tile, f16x16)[0]


@inlined
def scale_and_min(tile, d, m):
    """One f16 scale and one f16 minimum of each row in front."""
    d[0], m[0] = view(tile, f16x16)[0], view(tile + 32, f16x16)[0]


@inlined
def low_nibbles(words):
    return words & 0x0F0F0F0F


@inlined
def high_nibbles(words):
    return (words >> 4) & 0x0F0F0F0F


@inlined
def fifth_bits(bits):
    """Bits 0-3 of each word to bit 4 of its four bytes."""
    return (((bits & 15) * 0x00204081) & 0x01010101) << 4
