"""A model against a base model: the figures of llama.cpp, and what cannot be compared."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llamakit.errors import UsageError
from llamakit.tools.perplexity.base_file import BaseReader
from llamakit.tools.perplexity.divergence import Comparison, divergences
from llamakit.tools.perplexity.measure import measure_and_save
from llamakit.tools.perplexity.scorer import Divergence

from ...running import open_context
from ...tiny import Tiny, write_tiny
from .models import write_model
from .test_measure import windows_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two models, and the base file of the first."""
    folder = tmp_path_factory.mktemp("models")
    with open_context(write_model(folder / "a.gguf")) as context:
        list(measure_and_save(context, windows_of(context, n_chunks=5), folder / "base.kld"))
    write_model(folder / "b.gguf", seed=1)
    return folder


def compare(folder, name, n_seq=1, n_chunks=None):
    with (
        open_context(folder / name, n_ctx=33 * n_seq, n_seq_max=n_seq) as context,
        BaseReader(folder / "base.kld") as base,
    ):
        windows = base.windows(context.model.vocab.bos_id, n_chunks)
        return list(divergences(context, windows, base, n_seq))


def total_of(parts):
    total = Comparison()
    for part in parts:
        total.add(part)
    return total


def test_a_model_is_not_far_from_itself(folder):
    total = total_of(compare(folder, "a.gguf"))
    assert abs(total.kld.mean) < 1e-5 and total.same_top.value == 1
    assert total.ppl.perplexity == pytest.approx(total.ppl_base.perplexity, rel=1e-4)
    assert total.correlation == pytest.approx(1, abs=1e-4)
    assert total.rms_p_diff.value < 1e-4


@pytest.mark.parametrize("n_seq", [2, 5, 8])
def test_windows_compared_together_have_the_figures_of_each_alone(folder, n_seq):
    for alone, together in zip(compare(folder, "b.gguf"), compare(folder, "b.gguf", n_seq), strict=True):
        np.testing.assert_array_equal(alone.kld, together.kld)
        np.testing.assert_array_equal(alone.nll, together.nll)
        np.testing.assert_array_equal(alone.nll_base, together.nll_base)


def test_the_first_windows_can_be_compared_alone(folder):
    assert len(compare(folder, "b.gguf", n_chunks=2)) == 2


def test_models_with_other_vocabularies_cannot_be_compared(folder, tmp_path):
    path = write_tiny(tmp_path / "other.gguf", Tiny())
    with open_context(path) as context, BaseReader(folder / "base.kld") as base:
        with pytest.raises(UsageError, match="vocabulary of 260 tokens, and the model has 67"):
            next(divergences(context, base.windows(), base))


def test_the_statistics_are_those_of_all_values():
    rng = np.random.default_rng(5)
    nll, nll_base, kld = rng.gamma(2, size=200), rng.gamma(2, size=200), rng.gamma(0.1, size=200)
    whole = Divergence(nll, nll_base, kld, rng.random(200) < 0.8)
    halves = [Divergence(nll[p], nll_base[p], kld[p], whole.is_same_top[p]) for p in (slice(90), slice(90, 200))]
    total = total_of(halves)
    covariance = np.cov(nll, nll_base, bias=True)[0, 1] / 199
    assert total.covariance == pytest.approx(covariance)
    assert total.correlation == pytest.approx(np.corrcoef(nll, nll_base)[0, 1])
    ratio_error = math.sqrt((nll - nll_base).var() / 199)
    assert total.log_ratio == pytest.approx((nll.mean() - nll_base.mean(), ratio_error))
    p_diff = np.exp(-nll) - np.exp(-nll_base)
    assert total.rms_p_diff.value == pytest.approx(np.sqrt((p_diff**2).mean()))
    assert total.kld_percentiles([0, 0.5, 1]) == pytest.approx([kld.min(), np.median(kld), kld.max()])
    assert total.p_diff_percentiles([0.25]) == pytest.approx([np.quantile(p_diff, 0.25)])
    assert total.same_top.value == whole.is_same_top.mean()


def test_fault_95_equal_values_give_no_nan():
    same = np.full(3, 1.5)
    total = total_of([Divergence(same, same, np.zeros(3), np.ones(3, bool))])
    values = (total.correlation, *total.log_ratio, *total.ratio, *total.difference, *total.rms_p_diff)
    assert all(math.isfinite(value) for value in values)
