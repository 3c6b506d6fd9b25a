"""Tokens with their log-probabilities in three forms, and the figures of an answer."""

from __future__ import annotations

import json
from math import exp, inf

import pytest

from llamakit.core.engine.scheduler import ScoredPiece
from llamakit.core.engine.scheduler.job import Usage
from llamakit.core.vocab import load_vocab
from llamakit.server.generation.scores import LegacyScores, entries
from llamakit.server.generation.timings import progresses, summed, timings, token_counts

from ...core.vocab.vocabs import bpe_metadata

VOCAB = load_vocab(bpe_metadata())
A, B = VOCAB.encode("ab")


def test_entries_have_bytes_and_no_infinity():
    (told,) = entries(VOCAB, [ScoredPiece(A, "a", -0.5, ((A, -0.5), (B, -inf)))])
    assert (told["token"], told["bytes"], told["logprob"]) == ("a", [97], -0.5)
    assert [entry["token"] for entry in told["top_logprobs"]] == ["a", "b"]
    assert json.loads(json.dumps(told["top_logprobs"][1]))["logprob"] < -1e300


def test_after_sampling_there_are_probabilities():
    (told,) = entries(VOCAB, [ScoredPiece(A, "a", -0.5, ((B, -1.0),))], is_post=True)
    assert (told["prob"], told["top_probs"][0]["prob"]) == (pytest.approx(exp(-0.5)), pytest.approx(exp(-1)))
    assert "logprob" not in told


def test_the_older_form_goes_on_from_chunk_to_chunk():
    scores = LegacyScores(VOCAB)
    first = scores.of([A, ScoredPiece(B, "b", -0.5, ((A, -0.25),))], 1)
    assert first == {
        "tokens": ["a", "b"],
        "token_logprobs": [None, -0.5],
        "top_logprobs": [None, {"a": -0.25, "b": -0.5}],
        "text_offset": [0, 1],
    }
    assert scores.of([ScoredPiece(A, "a", -1.0, ())], 0)["text_offset"] == [2]


def test_figures_of_an_answer():
    usage = Usage(10, n_cached=4, n_drawn=5, submitted=1.0, started=2.0, first_drawn=3.0, ended=5.0)
    told = timings(usage)
    assert (told["cache_n"], told["prompt_n"], told["prompt_ms"], told["prompt_per_second"]) == (4, 6, 1000, 6)
    assert (told["predicted_n"], told["predicted_ms"], told["predicted_per_token_ms"]) == (
        5,
        2000,
        500,
    )  # the first token costs no step
    assert "draft_n" not in told
    one = timings(Usage(10, n_drawn=1, submitted=1.0, started=2.0, first_drawn=3.0, ended=3.5))
    assert (one["predicted_n"], one["predicted_per_second"]) == (1, 0)
    unread = timings(Usage(10))
    assert (unread["predicted_per_second"], unread["predicted_per_token_ms"]) == (0, 0)


def test_usage_tells_why_a_cache_missed():
    usage = Usage(10, n_cached=4, n_drawn=5, miss_reason="differs at token 4")
    told = token_counts([usage, Usage(10, n_drawn=3)])
    assert told["prompt_tokens_details"] == {"cached_tokens": 4, "miss_reason": "differs at token 4"}
    assert (told["prompt_tokens"], told["completion_tokens"], told["total_tokens"]) == (10, 8, 18)
    assert summed([told, told])["total_tokens"] == 36


def test_progress_begins_with_what_was_cached():
    usage = Usage(10, n_cached=4)
    assert [step["processed"] for step in progresses(usage, 8, is_first=True)] == [4, 8]
    assert [step["processed"] for step in progresses(usage, 10, is_first=False)] == [10]
