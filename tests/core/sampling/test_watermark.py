"""Green tokens, and penalties of shares."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.sampling import SamplingParams
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.stages.watermark import green_tokens
from llamakit.errors import UsageError

N_VOCAB = 100


def made(**options):
    return Sampler(SamplingParams(temperature=0, samplers=("penalties", "temperature"), **options), N_VOCAB)


def test_green_lists_differ_from_token_to_token_and_have_their_share():
    lists = [set(green_tokens(token, N_VOCAB, 0.3).tolist()) for token in range(20)]
    assert all(len(tokens) == 30 for tokens in lists)
    assert len({frozenset(tokens) for tokens in lists}) == 20
    assert lists[7] == set(green_tokens(7, N_VOCAB, 0.3).tolist())


def test_green_tokens_get_the_delta_after_the_token_before():
    logits = np.zeros(N_VOCAB, np.float32)
    red = next(token for token in range(N_VOCAB) if token not in green_tokens(42, N_VOCAB, 0.5))
    logits[red] = 1.9
    sampler = made(watermark_delta=2.0)
    assert sampler.sample(logits) == red  # nothing is green before the first token
    sampler.accept_prompt([1, 42])
    assert sampler.sample(logits) in green_tokens(42, N_VOCAB, 0.5)
    logits[red] = 2.1
    assert sampler.sample(logits) == red


def test_a_text_with_a_watermark_has_more_green_tokens():
    rng, sampler = np.random.default_rng(0), Sampler(SamplingParams(seed=1, watermark_delta=2.0), N_VOCAB)
    n_green, token = 0, 0
    sampler.accept_prompt([token])
    for _ in range(200):
        drawn = sampler.sample(rng.normal(size=N_VOCAB).astype(np.float32))
        n_green += drawn in green_tokens(token, N_VOCAB, 0.5)
        sampler.accept(drawn)
        token = drawn
    assert n_green > 140


def test_a_share_is_penalized_less_the_longer_the_text_is():
    logits = np.zeros(N_VOCAB, np.float32)
    logits[3] = 0.6
    sampler = made(frequency_penalty=2.0, frequency_is_share=True, repeat_last_n=-1)
    sampler.accept_prompt([3, 4])
    assert sampler.sample(logits) != 3  # 2 * 1 / 2
    sampler.accept_prompt([5, 6])
    assert sampler.sample(logits) == 3  # 2 * 1 / 4


@pytest.mark.parametrize("gamma", [0.0, 1.0, -1.0])
def test_a_share_of_nothing_or_all_is_refused(gamma):
    with pytest.raises(UsageError, match="watermark_gamma"):
        SamplingParams(watermark_gamma=gamma)
