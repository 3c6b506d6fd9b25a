"""What a job tells besides its pieces: scores of the prompt, of what was drawn from, and how far the prompt is."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.engine.generate import Finish
from llamakit.core.engine.scheduler import Ended, Prefilled, PromptScores, Request, ScoredPiece
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.params import SamplingParams

from ....running import logits_of, open_context
from .serving import N_CTX, Case, alone, result, serving

LONG = (1, *range(20, 120))


def events(job):
    return [*job.events()]


@pytest.mark.parametrize("n_predict", [0, 3])
def test_scores_of_a_prompt_are_those_of_its_logits(path, vocab, n_predict):
    case = Case(LONG, n_predict=n_predict)
    (wanted,) = alone(path, vocab, [case])
    with open_context(path, n_ctx=N_CTX) as context:
        logits = logits_of(context, np.array(LONG), 32).astype(np.float64)
    exact = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    with serving(path, vocab, 2) as (_, scheduler):
        result(scheduler.submit(case.request(vocab)))  # what the cache has is computed again, as its logits are needed
        beside = scheduler.submit(Case((1, 50), n_predict=30).request(vocab))
        job = scheduler.submit(case.request(vocab, n_prompt_logprobs=2))
        told, *pieces = events(job)
        assert (pieces, job.end) == wanted
        result(beside)
    assert isinstance(told, PromptScores)
    assert [score.token for score in told.scores] == list(LONG[1:])
    for row, score in zip(exact, told.scores, strict=False):
        assert score.logprob == pytest.approx(row[score.token], abs=1e-5)
        best = np.argsort(-row, kind="stable")[:2]
        assert [token for token, _ in score.likeliest] == best.tolist()
        assert [logprob for _, logprob in score.likeliest] == pytest.approx(row[best], abs=1e-5)


def test_scores_may_be_those_that_the_token_was_drawn_from(path, vocab):
    case = Case((1, 40), n_predict=12, seed=3)
    ((pieces, _),) = alone(path, vocab, [case])
    with serving(path, vocab, 1) as (_, scheduler):
        scored = events(scheduler.submit(case.request(vocab, n_logprobs=50, scores_after_sampling=True)))
    assert [piece.token for piece in scored] == [piece.token for piece in pieces]
    for piece in scored:
        assert isinstance(piece, ScoredPiece)
        likely = dict(piece.likeliest)
        assert piece.logprob == pytest.approx(likely[piece.token])
        assert sum(np.exp(list(likely.values()))) == pytest.approx(1)  # top-k leaves 40, and top-p fewer
        assert len(likely) < 50


def test_a_job_tells_how_far_its_prompt_is(path, vocab):
    with serving(path, vocab, 1) as (_, scheduler):
        job = scheduler.submit(Case(LONG, n_predict=1).request(vocab, tells_progress=True))
        *told, _piece = events(job)
        assert told == [Prefilled(n) for n in (32, 64, 96, 101)]
        assert isinstance(job.end, Ended)
        job = scheduler.submit(Case((*LONG, 5, 6), n_predict=0).request(vocab, tells_progress=True))
        assert events(job) == [Prefilled(103)]
        assert job.usage.n_cached == 101


@pytest.mark.parametrize(
    "more, finish", [({"t_max_predict": 1e-9}, Finish.TIME_UP), ({"n_indent": 500}, Finish.INDENTED_LESS)]
)
def test_time_and_indents_end_a_text(path, vocab, more, finish):
    newline = next(token for token in range(vocab.n_tokens) if vocab.piece(token) == b"\n")
    params = SamplingParams(seed=1, ignore_eos=True, logit_bias={newline: 4.0})
    with serving(path, vocab, 1) as (_, scheduler):
        sampler = Sampler(params, vocab.n_tokens, vocab.eog_ids)
        pieces, end = result(scheduler.submit(Request((1, 40), sampler, n_predict=200, **more)))
    assert end.finish is finish
    assert any("\n" in piece.text for piece in pieces)
