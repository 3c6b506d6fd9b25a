"""How characters may be written within a JSON string."""

from __future__ import annotations

from functools import lru_cache

from llamakit.core.grammar.charset import (
    ANY,
    ByteSets,
    Ranges,
    aligned,
    complement,
    contains,
    intersect,
    union,
    utf8_sequences,
)

QUOTED: Ranges = ((0, 0x1F), (0x22, 0x22), (0x5C, 0x5C))  # these must be escaped
RAW = complement(QUOTED)
SPELLED = union([(0, 0x1F), (0x7F, 0x10FFFF)])  # these may be written \uXXXX; others only as themselves
SHORT = {0x22: '"', 0x5C: "\\", 0x2F: "/", 0x08: "b", 0x0C: "f", 0x0A: "n", 0x0D: "r", 0x09: "t"}


@lru_cache(1024)
def json_sequences(ranges: Ranges) -> tuple[ByteSets, ...]:
    """The bytes that stand for one character of `ranges`.

    A character is written as itself where JSON allows that, by its short escape, or, if it is a control character or
    not ASCII, as \\uXXXX (two of them beyond U+FFFF) with hex digits of either case.
    """
    out = [s for low, high in intersect(ranges, RAW) for s in utf8_sequences(low, high)]
    out += [byte_sets("\\" + letter) for char, letter in SHORT.items() if contains(ranges, char)]
    for low, high in intersect(intersect(ranges, SPELLED), ANY):
        if low <= 0xFFFF:
            out += [byte_sets("\\u") + digits for digits in hex_sequences(low, min(high, 0xFFFF))]
        if high > 0xFFFF:
            out += surrogate_pairs(max(low, 0x10000), high)
    return tuple(out)


def byte_sets(text: str) -> ByteSets:
    return tuple(((byte, byte),) for byte in text.encode())


def surrogate_pairs(low: int, high: int) -> list[ByteSets]:
    """\\uD8..\\uDC.. for code points beyond U+FFFF: the upper ten bits, then the lower ten."""
    out: list[ByteSets] = []
    low, high = low - 0x10000, high - 0x10000
    pieces: list[tuple[int, int, int, int]] = []  # upper bits from, to; lower bits from, to
    if low >> 10 == high >> 10:
        pieces.append((low >> 10, low >> 10, low & 0x3FF, high & 0x3FF))
    else:
        first, last = low >> 10, high >> 10
        if low & 0x3FF:
            pieces.append((first, first, low & 0x3FF, 0x3FF))
            first += 1
        if high & 0x3FF != 0x3FF:
            pieces.append((last, last, 0, high & 0x3FF))
            last -= 1
        if first <= last:
            pieces.append((first, last, 0, 0x3FF))
    for first, last, start, end in pieces:
        for upper in hex_sequences(0xD800 + first, 0xD800 + last):
            for lower in hex_sequences(0xDC00 + start, 0xDC00 + end):
                out.append(byte_sets("\\u") + upper + byte_sets("\\u") + lower)
    return out


def hex_sequences(low: int, high: int) -> list[ByteSets]:
    """Numbers low .. high as four hex digits."""
    return [
        tuple(hex_digit(a >> shift & 15, b >> shift & 15) for shift in (12, 8, 4, 0))
        for a, b in aligned(low, high, (4, 8, 12))
    ]


def hex_digit(low: int, high: int) -> Ranges:
    """The bytes of a digit low .. high, upper and lower case."""
    ranges = []
    if low <= 9:
        ranges.append((0x30 + low, 0x30 + min(high, 9)))
    if high >= 10:
        first, last = max(low, 10) - 10, high - 10
        ranges += [(0x41 + first, 0x41 + last), (0x61 + first, 0x61 + last)]
    return tuple(ranges)
