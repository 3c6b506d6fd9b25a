"""Infill against its rules."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.sampling import SamplingParams
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.stages.infill import Infill
from tests.stages import Chain, softmax


class Pieces:
    def __init__(self, *texts, eog=(), eot=None, eos=None):
        self.texts, self.eog_ids, self.eot_id, self.eos_id = [t.encode() for t in texts], frozenset(eog), eot, eos

    def piece(self, token, *, special=False):
        return self.texts[token]


def naive_infill(logits, vocab):
    """The tokens that stay."""
    order = np.argsort(-logits, kind="stable").tolist()
    p = dict(zip(order, softmax(logits[order]).tolist(), strict=True))
    texts = [token for token in order if token not in vocab.eog_ids]
    ends = [token for token in order if token in vocab.eog_ids]
    if 3 * sum(p[t] for t in ends) * len(order) > sum(p[t] for t in texts):
        return ends
    gone = set()
    for a in order:
        for b in order:
            if a in gone or b in gone or a == b or not vocab.texts[a] or not vocab.texts[b].startswith(vocab.texts[a]):
                continue
            winner, loser = (b, a) if p[b] > p[a] else (a, b)
            p[winner] += p[loser]
            p[loser] = 0
            gone.add(loser)
    chosen = [t for t in order if t in vocab.eog_ids or p[t] >= 0.2]
    n_texts = sum(t not in vocab.eog_ids for t in chosen)
    if n_texts == 0:
        return [vocab.eot_id if vocab.eot_id is not None else vocab.eos_id]
    total = sum(p[t] for t in chosen)
    return [t for t in chosen if t in vocab.eog_ids or p[t] / total >= 1 / (n_texts + 1)]


VOCAB = Pieces("a", "an", "and", "b", "be", "", "c", "<eot>", "<eos>", "c", eog=(7, 8), eot=7, eos=8)


@pytest.mark.parametrize("seed", range(60))
def test_infill_merges_kin_and_keeps_what_is_likely(seed):
    rng = np.random.default_rng(seed)
    logits = (rng.normal(size=10) * rng.uniform(0.5, 4)).astype(np.float32)
    logits[[7, 8]] -= rng.choice([0, 6, 12])
    chain = Chain(logits, vocab=VOCAB).run(Infill)
    assert sorted(chain.ids.tolist()) == sorted(naive_infill(logits, VOCAB))
    assert (chain.c.values["logits"][chain.n : chain.n + 64] == -np.inf).all()


@pytest.mark.parametrize("eot, want", [(7, 7), (None, 8)])
def test_without_a_likely_text_the_infill_ends(eot, want):
    vocab = Pieces(*(f"word {i}" for i in range(7)), "<eot>", "<eos>", eog=(7, 8), eot=eot, eos=8)
    logits = np.array([0.0] * 7 + [-30, -30], np.float32)
    sampler = Sampler(SamplingParams(samplers=("infill",)), 9, vocab.eog_ids, vocab=vocab)
    assert sampler.sample(logits) == want


def test_likely_ends_are_taken_at_once():
    logits = np.zeros(10, np.float32)
    logits[8] = 5
    assert Chain(logits, vocab=VOCAB).run(Infill).ids.tolist()[0] == 8


def test_without_a_vocabulary_texts_are_not_merged():
    sampler = Sampler(SamplingParams(samplers=("infill",)), 4, eog_ids=[3])
    assert sampler.sample(np.array([5, 0, 0, -30], np.float32)) == 0
