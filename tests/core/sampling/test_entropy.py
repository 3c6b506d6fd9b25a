"""Dynamic temperature, mirostat 1 and 2, and adaptive-p, each against its formula in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llamakit.core.sampling import SamplingParams
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.generator import mt19937
from llamakit.core.sampling.stages import truncate
from llamakit.core.sampling.stages.temperature import temperature
from tests.stages import KINDS, Chain, descending, make_logits, softmax


@pytest.mark.parametrize("logits", [make_logits(kind, n) for kind in KINDS for n in (1, 2, 17, 1025)])
@pytest.mark.parametrize("t, spread, exponent", [(0.8, 0.5, 1.0), (1.0, 1.0, 2.0), (0.5, 0.7, 0.0), (0.0, 0.5, 1.0)])
@pytest.mark.parametrize("k", [0, 40])
def test_the_temperature_moves_with_the_entropy(logits, t, spread, exponent, k):
    order = descending(logits)[: k or None]
    chain = Chain(logits).run(truncate.top_k, top_k=k)
    chain.run(temperature, temperature=t, dynatemp_range=spread, dynatemp_exponent=exponent)
    x = logits[order].astype(np.float64)
    want = x - x[0]
    if len(order) > 1:
        p = softmax(logits[order])
        entropy = -sum(q * math.log(q) for q in p.tolist() if q > 0)
        low, high = max(0.0, t - spread), t + spread
        value = low + (high - low) * (entropy / math.log(len(order))) ** exponent
        want = want / max(value, 1.2e-38)
    got = chain.values.astype(np.float64)
    n = chain.n
    np.testing.assert_array_equal(chain.ids, order[:n])
    near = want > -80  # what is further away is never drawn
    assert near[n:].sum() == 0
    np.testing.assert_allclose((got - got[0])[near[:n]], want[:n][near[:n]], rtol=2e-4, atol=1e-4)


def discrete(p, generator):
    """As std::discrete_distribution draws: nothing to draw from one."""
    if len(p) == 1:
        return 0
    first, second = generator.getrandbits(32), generator.getrandbits(32)
    return int(np.searchsorted(np.cumsum(p), (first + second * 2.0**32) / 2.0**64))


class NaiveMirostat:
    def __init__(self, version, tau, eta, seed):
        self.version, self.tau, self.eta, self.mu, self.generator = version, tau, eta, 2 * tau, mt19937(seed)

    def sample(self, logits):
        order = descending(logits)
        p = softmax(logits[order])
        if self.version == 1:
            n = min(99, len(p) - 1)
            t = np.log((np.arange(n) + 2) / (np.arange(n) + 1))
            s = (t * np.log(p[:n] / p[1 : n + 1])).sum() / (t * t).sum()
            e = s - 1
            k = max(int((e * 2**self.mu / (1 - len(logits) ** -e)) ** (1 / s)), 1)
        else:
            k = max(int((-np.log2(p) <= self.mu).sum()), 1)
        p = p[:k] / p[:k].sum()
        i = discrete(p, self.generator)
        self.mu -= self.eta * (-np.log2(p[i]) - self.tau)
        return int(order[i])


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("tau, eta", [(5.0, 0.1), (2.0, 0.3), (0.1, 0.1)])
def test_mirostat_follows_its_formula(version, tau, eta):
    naive = NaiveMirostat(version, tau, eta, 7)
    params = SamplingParams(seed=7, mirostat=version, mirostat_tau=tau, mirostat_eta=eta, temperature=0.8, top_k=1)
    sampler = Sampler(params, 2000)
    rng = np.random.default_rng(3)
    for _ in range(150):
        logits = (rng.normal(size=2000) * rng.uniform(1.5, 5)).astype(np.float32)
        assert sampler.sample(logits) == naive.sample(logits / np.float32(0.8))
        assert sampler.stages[-1].record.data["mu"] == pytest.approx(naive.mu, abs=1e-3)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 2, 3, 100, 101, 1025])
def test_mirostat_takes_any_logits(version, kind, n):
    logits = make_logits(kind, n)
    for tau in (0.0, 5.0, 1e6):
        sampler = Sampler(SamplingParams(mirostat=version, mirostat_tau=tau), n)
        for _ in range(3):
            assert logits[sampler.sample(logits)] > -np.inf


def test_mirostat_brings_the_surprise_near_its_target():
    rng = np.random.default_rng(0)
    logits = (rng.normal(size=5000) * 3).astype(np.float32)
    for tau in (2.0, 4.0):
        sampler = Sampler(SamplingParams(seed=1, mirostat=2, mirostat_tau=tau, temperature=1.0), 5000)
        surprise = []
        for _ in range(600):
            token = sampler.sample(logits)
            surprise.append(-np.log2(dict(zip(*sampler.left(5000), strict=True))[token]))
        assert np.mean(surprise[100:]) == pytest.approx(tau, abs=0.3)


class NaiveAdaptive:
    def __init__(self, target, decay, seed):
        self.target, self.decay, self.generator = target, min(max(decay, 0.0), 0.99), mt19937(seed)
        self.total = 1 / (1 - self.decay)
        self.weighted = target * self.total

    def sample(self, logits):
        p = softmax(logits)
        if self.target < 0:
            return discrete(p, self.generator), 0.0
        t = min(max(2 * self.target - self.weighted / self.total, 0.0), 1.0)
        d = np.abs(p - t) / 0.3
        i = discrete(softmax(np.where(np.isfinite(logits), 5 - 10 * d * d / (1 + d), -np.inf)), self.generator)
        return i, p[i]

    def accept(self, p):
        self.weighted, self.total = p + self.decay * self.weighted, 1 + self.decay * self.total


@pytest.mark.parametrize("target, decay", [(0.3, 0.9), (0.05, 0.5), (1.0, 7.0), (-1.0, 0.9)])
@pytest.mark.parametrize("n", [1, 2, 30, 1000])
def test_adaptive_p_follows_its_formula(target, decay, n):
    naive = NaiveAdaptive(target, decay, 11)
    options = {"samplers": ("adaptive_p", "temperature"), "temperature": 1.0}
    sampler = Sampler(SamplingParams(seed=11, adaptive_target=target, adaptive_decay=decay, **options), n)
    rng = np.random.default_rng(5)
    for step in range(100):
        logits = (rng.normal(size=n) * 2).astype(np.float32)
        if n > 2:
            logits[step % n] = -np.inf
        token, p = naive.sample(logits)
        assert sampler.sample(logits) == token
        if step % 7 and target >= 0:  # what is accepted may be another token: then nothing is learned
            sampler.accept(token)
            naive.accept(p)
        elif n > 1:
            sampler.accept((token + 1) % n)


def test_adaptive_p_aims_at_its_target():
    logits = np.log(np.array([0.5, 0.3, 0.1, 0.05, 0.03, 0.02], np.float32))
    params = SamplingParams(seed=2, samplers=("adaptive_p",), adaptive_target=0.3)
    sampler = Sampler(params, 6)
    chosen = []
    for _ in range(300):
        chosen.append(sampler.sample(logits))
        sampler.accept(chosen[-1])
    assert np.exp(logits)[chosen].mean() == pytest.approx(0.3, abs=0.05)
