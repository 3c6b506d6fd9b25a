"""Sets of code points as ranges, and their UTF-8."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

Ranges = tuple[tuple[int, int], ...]  # first and last, ascending, apart from each other

LAST = 0x10FFFF
SURROGATES = (0xD800, 0xDFFF)
ANY: Ranges = ((0, 0xD7FF), (0xE000, LAST))  # every character: surrogates are none


def union(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Ranges in any order, made ascending and disjoint."""
    out: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if out and low <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], high))
        else:
            out.append((low, high))
    return tuple(out)


def intersect(a: Ranges, b: Ranges) -> Ranges:
    out, i, j = [], 0, 0
    while i < len(a) and j < len(b):
        low, high = max(a[i][0], b[j][0]), min(a[i][1], b[j][1])
        if low <= high:
            out.append((low, high))
        if a[i][1] < b[j][1]:
            i += 1
        else:
            j += 1
    return tuple(out)


def complement(ranges: Ranges) -> Ranges:
    """All other characters."""
    out, start = [], 0
    for low, high in ranges:
        if start < low:
            out.append((start, low - 1))
        start = high + 1
    if start <= LAST:
        out.append((start, LAST))
    return intersect(tuple(out), ANY)


def contains(ranges: Ranges, char: int) -> bool:
    return any(low <= char <= high for low, high in ranges)


ByteSets = tuple[Ranges, ...]  # of each byte of a sequence, the ranges it may be in


@lru_cache(4096)
def utf8_sequences(low: int, high: int) -> tuple[ByteSets, ...]:
    """The code points low .. high as sequences of byte ranges, ascending; surrogates are left out."""
    out: list[ByteSets] = []
    for first, last in intersect(((low, high),), ANY):
        for start, end in ((0, 0x7F), (0x80, 0x7FF), (0x800, 0xFFFF), (0x10000, LAST)):
            if max(first, start) <= min(last, end):
                out += split(max(first, start), min(last, end))
    return tuple(out)


def split(low: int, high: int) -> list[ByteSets]:
    """Code points whose UTF-8 has one length."""
    return [
        tuple((pair,) for pair in zip(chr(a).encode(), chr(b).encode(), strict=True))
        for a, b in aligned(low, high, (6, 12, 18))
    ]


def aligned(low: int, high: int, tails: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """The range in parts, ascending, cut where a leading digit would not go with all that may follow it.

    tails: how many bits stand behind each digit, but the last, which has none; the fewest first.
    """
    queue = [(low, high)]
    while queue:
        low, high = queue.pop()
        for bits in tails:
            tail = (1 << bits) - 1
            if low & ~tail != high & ~tail:
                if low & tail:
                    queue += [((low | tail) + 1, high), (low, low | tail)]
                    break
                if high & tail != tail:
                    queue += [(high & ~tail, high), (low, (high & ~tail) - 1)]
                    break
        else:
            yield low, high
