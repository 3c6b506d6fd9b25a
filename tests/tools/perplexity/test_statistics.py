"""Means, shares and percentiles with their uncertainty."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llamakit.tools.perplexity.statistics import Mean, Score, Share, percentile

VALUES = np.random.default_rng(3).gamma(2.0, size=500)


def test_a_mean_added_in_parts_has_its_standard_error():
    mean = Mean()
    for part in np.array_split(VALUES, 7):
        mean.add(part)
    assert mean.estimate == pytest.approx((VALUES.mean(), VALUES.std() / math.sqrt(len(VALUES) - 1)))


def test_a_perplexity_is_the_exponential_of_the_mean():
    score = Score()
    score.add(VALUES)
    assert score.perplexity == pytest.approx(math.exp(VALUES.mean()))
    assert score.error == pytest.approx(score.perplexity * score.mean_error)


@pytest.mark.parametrize("values", [[2.5], [0.1] * 10])
def test_fault_95_one_value_or_equal_ones_have_no_error_rather_than_nan(values):
    score = Score()
    score.add(np.array(values))
    assert score.mean_error == pytest.approx(0, abs=1e-7) and score.error == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "n, count, low, high", [(1, 0, 0, 79.3451), (4, 1, 4.5587, 69.9358), (50, 15, 19.1036, 43.7504)]
)
def test_wilsons_interval_is_llama_cpps(n, count, low, high):
    assert Share(n, count).wilson() == pytest.approx((low / 100, high / 100), abs=1e-6)


def test_a_share_has_the_error_of_a_binomial():
    assert Share(101, 25).estimate == pytest.approx((25 / 101, math.sqrt(25 / 101 * 76 / 101 / 100)))
    assert Share(1, 1).estimate == (1, 0)


@pytest.mark.parametrize("fraction, wanted", [(0, 1), (1, 9), (0.5, 3), (0.25, 2), (0.9, 7)])
def test_percentiles_lie_between_neighbours(fraction, wanted):
    assert percentile(np.array([1.0, 2, 3, 4, 9]), fraction) == pytest.approx(wanted)
