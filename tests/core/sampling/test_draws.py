"""Many seeded draws, and how often each token is among them: chi-square tests."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llamakit.core.sampling import SamplingParams
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.stages import choose, truncate
from llamakit.core.sampling.stages.temperature import temperature
from tests.stages import Chain, make_logits, softmax


def check(counts, probabilities):
    """Counts that chance explains, four standard deviations at most."""
    want = probabilities * counts.sum()
    assert counts[want == 0].sum() == 0
    often = want >= 5
    chi_square = ((counts - want)[often] ** 2 / want[often]).sum()
    freedom = often.sum() - 1
    assert freedom >= 1 and chi_square < freedom + 4 * math.sqrt(2 * freedom)


def test_a_million_draws_follow_the_probabilities():
    chain = Chain(make_logits("normal", 1000) / 2, seed=1).run(truncate.top_k, top_k=40)
    chain.run(truncate.top_p, top_p=0.95).run(truncate.min_p, min_p=0.05).run(temperature, temperature=0.8)
    stage = chain.run_stage(choose.draw(chain.setup()))
    chosen, counts = memoryview(chain.c.data.reshape(1).view(np.int64)), [0] * 1000
    place = chain.c.FIELDS["chosen"].offset // 8
    for _ in range(1_000_000):
        stage.run()
        counts[chosen[place]] += 1
    want = np.zeros(1000)
    want[chain.ids] = softmax(chain.values)
    check(np.array(counts), want)


def probabilities_after(name, logits):
    """What each option below makes of the probabilities, by its formula."""
    p = softmax(logits)
    if name == "xtc":  # half the time, only the least likely of those above 0.1 stays
        above = np.flatnonzero(p >= 0.1)
        struck = p.copy()
        struck[np.setdiff1d(above, above[np.argmin(p[above])])] = 0
        return (p + struck / struck.sum()) / 2
    if name == "typical":
        surprise = -np.log(p)
        order = np.argsort(np.abs(surprise - (p * surprise).sum()))
        kept = order[: np.flatnonzero(np.cumsum(p[order]) > 0.6)[0] + 1]
    elif name == "sigma":
        kept = np.flatnonzero(logits >= logits.max() - 1.5 * logits.std())
    elif name == "bias":
        q = softmax(np.where(np.arange(len(p)) == 3, logits + 1, logits))
        q[5] = 0
        return q / q.sum()
    else:  # adaptive-p at its first token: t is the target
        d = np.abs(p - 0.25) / 0.3
        return softmax(5 - 10 * d * d / (1 + d))
    q = np.zeros(len(p))
    q[kept] = p[kept] / p[kept].sum()
    return q


@pytest.mark.parametrize(
    "name, options",
    [
        ("xtc", {"samplers": ("xtc",), "xtc_probability": 0.5, "xtc_threshold": 0.1}),
        ("typical", {"samplers": ("typ_p",), "typical_p": 0.6}),
        ("sigma", {"samplers": ("top_n_sigma",), "top_n_sigma": 1.5}),
        ("bias", {"samplers": (), "logit_bias": {3: 1.0, 5: -math.inf}}),
        ("adaptive", {"samplers": ("adaptive_p",), "adaptive_target": 0.25}),
    ],
)
def test_draws_follow_each_stage(name, options):
    logits = (np.random.default_rng(4).normal(size=12) * 1.2).astype(np.float32)
    sampler = Sampler(SamplingParams(seed=9, **options), 12)
    counts = np.bincount([sampler.sample(logits) for _ in range(20_000)], minlength=12)
    check(counts, probabilities_after(name, logits))
