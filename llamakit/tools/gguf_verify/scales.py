"""Which numbers of a block multiply its weights, and what makes such a number unsound.

A scale is looked at as bits: one comparison of unsigned integers tells a NaN or an infinity, and no float is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from llamakit.core.gguf.types import PLAIN_DTYPES, GGMLType
from llamakit.core.quants import find_type
from llamakit.core.quants.iq1_m import joined_d

Blocks = NDArray[np.void]
Bits = NDArray[np.unsignedinteger]


@dataclass(frozen=True, slots=True)
class Number:
    """A kind of number in a block: `infinity` and all bits above it (the sign left out) mean none."""

    sign: int
    infinity: int
    smallest_normal: int  # below it, bits are lost
    unsound: str

    @property
    def magnitude(self) -> int:
        """The bits below the sign."""
        return self.sign - 1 if self.sign else 0xFF


F16 = Number(0x8000, 0x7C00, 0x0400, "NaN or infinite")
BF16 = Number(0x8000, 0x7F80, 0x0080, "NaN or infinite")
F32 = Number(1 << 31, 0x7F800000, 0x00800000, "NaN or infinite")
F64 = Number(1 << 63, 0x7FF << 52, 1 << 52, "NaN or infinite")
E8M0 = Number(0, 0xFF, 0, "NaN (0xff)")  # a power of two: no sign, and nothing to lose
UE4M3 = Number(0x80, 0x7F, 0, "NaN (0x7f)")  # what is subnormal here is meant to be


@dataclass(frozen=True, slots=True)
class Scale:
    """A number, or several of a kind, in every block of a type. `offset` and `width` are in bytes, of the first."""

    name: str
    number: Number
    offset: int
    width: int
    bits: Callable[[Blocks], Bits]  # (n_blocks,) -> (n_blocks,) or (n_blocks, n)
    is_weight: bool = False  # a value itself, which may be anything finite
    may_be_negative: bool = False


# These scales take the sign of the largest weight, or are minimums; all others are written as zero or more.
SIGNED = {("Q4_0", "d"), ("Q5_0", "d"), ("Q3_K", "d"), ("Q6_K", "d"), ("Q8_K", "d"), ("IQ4_NL", "d"), ("IQ4_XS", "d")}
SIGNED |= {("Q4_1", "m"), ("Q5_1", "m"), ("Q8_1", "s")}

# Types that ggml computes with and does not store; a file may hold them all the same.
UNSTORED = {
    GGMLType.Q8_1: np.dtype([("d", "<f2"), ("s", "<f2"), ("qs", "i1", (32,))]),
    GGMLType.Q8_K: np.dtype([("d", "<f4"), ("qs", "i1", (256,)), ("bsums", "<i2", (16,))]),
}
INTEGERS = {GGMLType.I8, GGMLType.I16, GGMLType.I32, GGMLType.I64}
FLOATS = {GGMLType.F16: F16, GGMLType.F32: F32, GGMLType.F64: F64, GGMLType.BF16: BF16}


def layout_of(type_: GGMLType) -> np.dtype[np.void]:
    """The bytes of a block as they lie in a little-endian file."""
    if type_ in FLOATS:
        return np.dtype([("x", "<" + PLAIN_DTYPES.get(type_, "u2"))])
    return UNSTORED[type_] if type_ in UNSTORED else find_type(type_).layout


@cache
def scales_of(type_: GGMLType) -> tuple[Scale, ...]:
    """The numbers of a type's blocks that must be sound; none for whole numbers."""
    if type_ in INTEGERS:
        return ()
    if type_ in FLOATS:
        width = layout_of(type_).itemsize
        return (Scale("value", FLOATS[type_], 0, width, field_bits("x", f"u{width}"), is_weight=True),)
    if type_ is GGMLType.MXFP4:
        return (Scale("e", E8M0, 0, 1, field_bits("e", "u1")),)
    if type_ is GGMLType.NVFP4:
        return (Scale("d", UE4M3, 0, 1, field_bits("d", "u1")),)
    if type_ is GGMLType.IQ1_M:  # a nibble in each of four words: no byte is its own
        return (Scale("d", F16, 48, 8, lambda blocks: joined_d(blocks["scales"]).view("u2")),)
    return tuple(float_scales(type_))


def float_scales(type_: GGMLType) -> Iterator[Scale]:
    """The float fields of a type's layout."""
    fields = layout_of(type_).fields
    assert fields is not None
    for name, (dtype, offset, *_) in fields.items():
        if dtype.kind == "f":
            number, width = (F32 if dtype.itemsize == 4 else F16), dtype.itemsize
            bits = field_bits(name, f"u{width}")
            yield Scale(name, number, offset, width, bits, may_be_negative=(type_.name, name) in SIGNED)


def field_bits(name: str, unsigned: str) -> Callable[[Blocks], Bits]:
    """A field of the blocks as unsigned integers in native order."""

    def bits(blocks: Blocks) -> Bits:
        field = blocks[name]
        order = field.dtype.byteorder if field.dtype.byteorder in "<>" else "="
        return np.ascontiguousarray(field).view(order + unsigned).astype("=" + unsigned, copy=False)

    return bits
