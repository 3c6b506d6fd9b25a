"""Means with their uncertainty, added up value by value, as llama.cpp reckons them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]


class Estimate(NamedTuple):
    """A value and its standard error."""

    value: float
    error: float


@dataclass(slots=True)
class Mean:
    """The mean of all values added so far."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, values: Doubles) -> None:
        self.n += len(values)
        self.total += float(values.sum())
        self.squares += float((values**2).sum())

    @property
    def mean(self) -> float:
        return self.total / self.n

    @property
    def mean_error(self) -> float:
        """Standard error of the mean; 0 where one value, or equal ones, tell nothing of it."""
        return math.sqrt(max(0.0, self.squares / self.n - self.mean**2) / max(1, self.n - 1))

    @property
    def estimate(self) -> Estimate:
        return Estimate(self.mean, self.mean_error)


class Score(Mean):
    """Negative log-likelihoods; their mean's exponential is the perplexity."""

    @property
    def perplexity(self) -> float:
        return math.exp(self.mean)

    @property
    def error(self) -> float:
        """Standard error of the perplexity."""
        return self.perplexity * self.mean_error

    @property
    def ppl(self) -> Estimate:
        return Estimate(self.perplexity, self.error)


@dataclass(slots=True)
class Share:
    """How many of n were counted."""

    n: int = 0
    count: int = 0

    @property
    def value(self) -> float:
        return self.count / self.n

    @property
    def estimate(self) -> Estimate:
        """The share and its standard error, that of a binomial."""
        return Estimate(self.value, math.sqrt(self.value * (1 - self.value) / max(1, self.n - 1)))

    def wilson(self, z: float = 1.95996398454) -> tuple[float, float]:
        """Bounds of the share: Wilson's score interval, z standard deviations wide on either side."""
        spread = z * z / self.n
        middle = self.value + spread / 2
        half = spread * math.sqrt(self.n * (4 * self.value * (1 - self.value) + spread)) / (2 * z)
        return (middle - half) / (1 + spread), (middle + half) / (1 + spread)


def percentile(ordered: Doubles, fraction: float) -> float:
    """The value below which that fraction of the ordered values lies, linear between neighbours."""
    return float(np.interp(fraction * (len(ordered) - 1), np.arange(len(ordered)), ordered))
