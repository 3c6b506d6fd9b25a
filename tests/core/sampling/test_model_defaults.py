from __future__ import annotations

import math

import pytest

from llamakit.core.sampling import SamplingParams
from llamakit.core.sampling.model_defaults import defaults_of


def test_a_model_without_recommendations_has_the_usual_defaults():
    assert defaults_of({"general.name": "x"}) == SamplingParams()


def test_recommendations_replace_defaults():
    metadata = {
        "general.sampling.sequence": "top_k;top-p;temp",
        "general.sampling.top_k": 20,
        "general.sampling.top_p": 0.8,
        "general.sampling.min_p": "0.01",
        "general.sampling.xtc_probability": 0.5,
        "general.sampling.xtc_threshold": 0.2,
        "general.sampling.temp": 1,
        "general.sampling.penalty_last_n": 32,
        "general.sampling.penalty_repeat": 1.25,
        "general.sampling.mirostat": 2,
        "general.sampling.mirostat_tau": 3.0,
        "general.sampling.mirostat_eta": 0.2,
    }
    assert defaults_of(metadata) == SamplingParams(
        samplers=("top_k", "top_p", "temperature"), top_k=20, top_p=0.8, min_p=0.01, xtc_probability=0.5,
        xtc_threshold=0.2, temperature=1.0, repeat_last_n=32, repeat_penalty=1.25, mirostat=2, mirostat_tau=3.0,
        mirostat_eta=0.2,
    )  # fmt: skip


def test_suppressed_tokens_are_banned():
    metadata = {"tokenizer.ggml.suppress_tokens": [3, 1, 99, -1], "tokenizer.ggml.tokens": ["a", "b", "c", "d"]}
    assert defaults_of(metadata).logit_bias == {3: -math.inf, 1: -math.inf}
    assert defaults_of({"tokenizer.ggml.suppress_tokens": "no list"}) == SamplingParams()


@pytest.mark.parametrize(
    "key, value",
    [("top_k", "many"), ("top_k", 1 << 60), ("temp", float("nan")), ("penalty_repeat", 0.0), ("mirostat", 7),
     ("top_p", [1]), ("sequence", "top_q"), ("sequence", 5)],
)  # fmt: skip
def test_nonsense_is_left_out(key, value, caplog):
    assert defaults_of({f"general.sampling.{key}": value, "general.sampling.min_p": 0.2}) == SamplingParams(min_p=0.2)
    assert "left out" in caplog.text or value == 5
