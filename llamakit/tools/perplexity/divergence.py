"""How far a model is from a base model on the same text: perplexities, Kullback-Leibler divergence, probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from llamakit.errors import UsageError
from llamakit.tools.perplexity.base_file import BaseReader
from llamakit.tools.perplexity.measure import window_rows
from llamakit.tools.perplexity.scorer import Divergence, Scorer
from llamakit.tools.perplexity.statistics import Estimate, Mean, Score, Share, percentile
from llamakit.tools.perplexity.windows import Windows

if TYPE_CHECKING:
    from llamakit.core.engine.context import Context

Doubles = npt.NDArray[np.float64]


def divergences(context: Context, windows: Windows, base: BaseReader, n_seq: int = 1) -> Iterator[Divergence]:
    """Each window of a base file against the file's rows, n_seq windows computed at a time.

    Raises UsageError when the vocabularies differ, ModelError where a probability is not a number.
    """
    if base.n_vocab != context.n_vocab:
        raise UsageError(
            f"{base.path} is of a vocabulary of {base.n_vocab} tokens, and the model has {context.n_vocab}: "
            f"only models with the same tokens can be compared"
        )
    scorer = Scorer(context)
    for batch in windows.batches(n_seq):
        parts = [
            scorer.divergence(logits, targets, base.read(len(logits)))
            for logits, targets in window_rows(context, windows, batch)
        ]
        whole = joined(parts)
        for i in range(len(batch)):
            yield part_of(whole, slice(i * windows.n_scored, (i + 1) * windows.n_scored))


def joined(parts: list[Divergence]) -> Divergence:
    return Divergence(
        np.concatenate([p.nll for p in parts]),
        np.concatenate([p.nll_base for p in parts]),
        np.concatenate([p.kld for p in parts]),
        np.concatenate([p.is_same_top for p in parts]),
    )


def part_of(whole: Divergence, part: slice) -> Divergence:
    return Divergence(whole.nll[part], whole.nll_base[part], whole.kld[part], whole.is_same_top[part])


@dataclass(slots=True)
class Comparison:
    """All windows added so far: two models on the same tokens."""

    ppl: Score = field(default_factory=Score)
    ppl_base: Score = field(default_factory=Score)
    kld: Mean = field(default_factory=Mean)
    p_diff: Mean = field(default_factory=Mean)
    p_diff_squared: Mean = field(default_factory=Mean)
    same_top: Share = field(default_factory=Share)
    products: float = 0.0  # sum of nll * nll_base
    _klds: list[Doubles] = field(default_factory=list)
    _p_diffs: list[Doubles] = field(default_factory=list)

    def add(self, d: Divergence) -> None:
        self.ppl.add(d.nll)
        self.ppl_base.add(d.nll_base)
        self.kld.add(d.kld)
        self.p_diff.add(d.p_diff)
        self.p_diff_squared.add(d.p_diff**2)
        self.same_top.n += len(d.is_same_top)
        self.same_top.count += int(d.is_same_top.sum())
        self.products += float((d.nll * d.nll_base).sum())
        self._klds.append(d.kld)
        self._p_diffs.append(d.p_diff)

    @property
    def covariance(self) -> float:
        """Of the two mean negative log-likelihoods."""
        n = self.ppl.n
        return (self.products / n - self.ppl.mean * self.ppl_base.mean) / max(1, n - 1)

    @property
    def correlation(self) -> float:
        """Of the two, between -1 and 1; 0 where one of them does not vary."""
        spread = self.ppl.mean_error * self.ppl_base.mean_error
        return self.covariance / spread if spread else 0.0

    @property
    def log_ratio(self) -> Estimate:
        """ln(PPL / PPL of the base)"""
        variance = self.ppl.mean_error**2 + self.ppl_base.mean_error**2 - 2 * self.covariance
        return Estimate(self.ppl.mean - self.ppl_base.mean, math.sqrt(max(0.0, variance)))

    @property
    def ratio(self) -> Estimate:
        value, error = self.log_ratio
        return Estimate(math.exp(value), math.exp(value) * error)

    @property
    def difference(self) -> Estimate:
        """PPL - PPL of the base"""
        (a, a_error), (b, b_error) = self.ppl.ppl, self.ppl_base.ppl
        return Estimate(a - b, math.sqrt(max(0.0, a_error**2 + b_error**2 - 2 * a * b * self.covariance)))

    @property
    def rms_p_diff(self) -> Estimate:
        """Root of the mean square of p - p_base."""
        value = math.sqrt(self.p_diff_squared.mean)
        return Estimate(value, 0.5 / value * self.p_diff_squared.mean_error if value else 0.0)

    def kld_percentiles(self, fractions: list[float]) -> list[float]:
        ordered = np.sort(np.concatenate(self._klds))
        return [percentile(ordered, fraction) for fraction in fractions]

    def p_diff_percentiles(self, fractions: list[float]) -> list[float]:
        ordered = np.sort(np.concatenate(self._p_diffs))
        return [percentile(ordered, fraction) for fraction in fractions]
