from __future__ import annotations

import numpy as np

from llamakit.core.sampling.guidance import guide

RNG = np.random.default_rng(0)
LOGITS, NEGATIVE = (RNG.normal(size=(2, 1000)) * 5).astype(np.float32)


def log_softmax(x):
    x = x.astype(np.float64)
    return x - x.max() - np.log(np.exp(x - x.max()).sum())


def test_guidance_follows_its_formula():
    for scale in (1.0, 1.5, 4.0, 0.0):
        base, away = log_softmax(LOGITS), log_softmax(NEGATIVE)
        np.testing.assert_allclose(guide(LOGITS, NEGATIVE, scale), scale * (base - away) + away, rtol=1e-4, atol=1e-4)


def test_scale_one_keeps_the_probabilities():
    np.testing.assert_allclose(guide(LOGITS, NEGATIVE, 1.0), log_softmax(LOGITS), rtol=1e-4, atol=1e-4)


def test_what_is_ruled_out_stays_so():
    logits, negative = LOGITS.copy(), NEGATIVE.copy()
    logits[3] = negative[5] = -np.inf
    guided = guide(logits, negative, 2.0)
    assert np.flatnonzero(~np.isfinite(guided)).tolist() == [3, 5] and not np.isnan(guided).any()
