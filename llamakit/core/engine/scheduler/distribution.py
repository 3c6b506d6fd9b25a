"""How often a measured value fell between which bounds."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

SECONDS = tuple(0.0001 * 1.5**k for k in range(1, 36))  # text-generation-inference's bounds
SIZES = tuple(float(2**k) for k in range(11))


@dataclass(slots=True)
class Distribution:
    """`counts` has a number for each bound, of values up to it and beyond the one before; the last is of the rest."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def n(self) -> int:
        return sum(self.counts)


def sum_of(parts: Sequence[Distribution], bounds: tuple[float, ...]) -> Distribution:
    """Of distributions over the same bounds."""
    counts = [sum(column) for column in zip(*(part.counts for part in parts), strict=True)]
    return Distribution(bounds, counts, sum(part.total for part in parts))
