from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.sampling.logprobs import logprobs, top_logprobs


@pytest.mark.parametrize("n", [1, 2, 1000, 151936])
@pytest.mark.parametrize("spread, offset", [(3.0, 0.0), (30.0, 1e4), (0.0, -1e4)])
def test_logprobs_are_the_log_softmax(n, spread, offset):
    logits = (np.random.default_rng(n).normal(size=n) * spread + offset).astype(np.float32)
    ids = [0, n - 1, n // 2]
    x = logits.astype(np.longdouble)
    want = (x - x.max() - np.log(np.exp(x - x.max()).sum()))[ids]
    np.testing.assert_allclose(logprobs(logits, ids), want.astype(np.float64), rtol=1e-6, atol=1e-6)


def test_a_banned_token_has_minus_infinity():
    logits = np.array([1.0, -np.inf, 1.0], np.float32)
    np.testing.assert_allclose(logprobs(logits, np.array([0, 1])), [-np.log(2), -np.inf], rtol=1e-6)


@pytest.mark.parametrize("n", [0, 1, 5, 1000, 5000])
@pytest.mark.parametrize("decimals", [0, 5])
def test_the_likeliest_come_first_and_of_equal_ones_the_lower_ids(n, decimals):
    logits = np.round(np.random.default_rng(1).normal(size=1000), decimals).astype(np.float32)
    ids, values = top_logprobs(logits, n)
    assert ids.tolist() == np.argsort(-logits, kind="stable")[:n].tolist()
    np.testing.assert_array_equal(values, logprobs(logits, ids))
