"""Texts are the same with guesses and without, right or wrong ones, alone and beside others."""

from __future__ import annotations

import random

import numpy as np
import pytest

from llamakit.core.engine.generate import Finish
from llamakit.core.engine.scheduler import Request
from llamakit.core.engine.speculation import DraftModel, PromptLookup
from llamakit.core.engine.speculation import worth as worth_module
from llamakit.core.grammar.gbnf import parse_gbnf
from llamakit.core.grammar.grammar import Grammar
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.params import SamplingParams

from ....running import open_context
from .serving import N_CTX, Case, alone, random_case, result, serving


class Oracle:
    """Knows what comes, and is wrong now and then."""

    n_most = 5

    def __init__(self, texts, share_right, seed=0):
        self.texts, self.share_right, self.rng = texts, share_right, random.Random(seed)

    def guess(self, wants):
        return [self.guess_one([*want.tokens, want.last], want.n) for want in wants]

    def guess_one(self, text, n):
        for known in self.texts:
            if known[: len(text)] == text:
                true = known[len(text) : len(text) + n]
                return [token if self.rng.random() < self.share_right else 5 for token in true]
        return [self.rng.randrange(99) for _ in range(n)]

    def forget(self, seq):
        pass


@pytest.fixture(autouse=True)
def guesses_always_pay(monkeypatch):
    monkeypatch.setattr(worth_module.Trust, "best", lambda self, n_most, *_: n_most)


def text_of(case, pieces):
    return [*case.tokens, *(piece.token for piece in pieces)]


@pytest.mark.parametrize("share_right", [1.0, 0.7, 0.0])
def test_texts_are_the_same_with_guesses_and_without(path, vocab, share_right):
    rng = random.Random(7)
    cases = [random_case(rng, vocab, most=120) for _ in range(16)]
    wanted = alone(path, vocab, cases)
    oracle = Oracle([text_of(case, pieces) for case, (pieces, _) in zip(cases, wanted, strict=True)], share_right)
    with serving(path, vocab, 4, guesser=oracle) as (_, scheduler):
        jobs = [scheduler.submit(case.request(vocab)) for case in cases]
        for case, job, one in zip(cases, jobs, wanted, strict=True):
            assert (case, result(job)) == (case, one)
        done = scheduler.stats().counters
        assert done.n_drafted == sum(job.usage.n_drafted for job in jobs) > 0
        assert done.n_accepted == sum(job.usage.n_accepted for job in jobs) == sum(done.n_accepted_at)
        assert len(done.n_accepted_at) == Oracle.n_most
        assert list(done.n_accepted_at) == sorted(done.n_accepted_at, reverse=True)
        if share_right == 1:
            assert done.n_accepted > 0.5 * done.n_drafted
            assert done.n_steps < done.n_drawn


@pytest.mark.parametrize("guesser", ["lookup", "draft"])
def test_real_guessers_change_nothing_either(path, vocab, guesser):
    cases = [Case((1, *[30, 31, 32, 33] * (4 + i)), n_predict=60, seed=seed) for i, seed in enumerate((None, 1, 2))]
    wanted = alone(path, vocab, cases)
    with open_context(path, n_ctx=N_CTX, n_seq_max=3) as draft, open_context(path, n_seq_max=3) as target:
        made = PromptLookup(4) if guesser == "lookup" else DraftModel(draft, target, 4)
        with serving(path, vocab, 3, guesser=made) as (_, scheduler):
            for _ in range(2):
                jobs = [scheduler.submit(case.request(vocab)) for case in cases]
                assert [result(job) for job in jobs] == wanted
            if guesser == "draft":  # the same model: at temperature 0 it is always right
                assert jobs[0].usage.n_accepted == jobs[0].usage.n_drafted > 40


def test_a_guesser_that_fails_is_asked_no_more(path, vocab, monkeypatch, caplog):
    case = Case((1, 40), n_predict=30, seed=1)
    (wanted,) = alone(path, vocab, [case])
    guesser = PromptLookup()
    monkeypatch.setattr(guesser, "guess", lambda wants: 1 / 0)
    with serving(path, vocab, 2, guesser=guesser) as (_, scheduler):
        assert result(scheduler.submit(case.request(vocab))) == wanted
        assert caplog.text.count("no tokens are guessed any more") == 1


def test_a_request_may_do_without(path, vocab):
    case = Case((1, *[30, 31, 32, 33] * 5), n_predict=30)
    with serving(path, vocab, 1, guesser=PromptLookup()) as (_, scheduler):
        job = scheduler.submit(case.request(vocab, speculate=False))
        result(job)
        assert job.usage.n_drafted == 0


def test_a_request_says_how_many_tokens_are_guessed_at_once(path, vocab):
    case = Case((1, 40), n_predict=30)
    ((pieces, _),) = wanted = alone(path, vocab, [case])
    oracle = Oracle([text_of(case, pieces)], 1.0)
    for limits, n_places in (({"n_draft_max": 2}, 2), ({"n_draft_max": 0}, 0), ({"n_draft_min": 6}, 0)):
        with serving(path, vocab, 1, guesser=oracle) as (_, scheduler):
            assert result(scheduler.submit(case.request(vocab, **limits))) == wanted[0]
            assert len(scheduler.stats().counters.n_accepted_at) == n_places


def test_stops_and_ends_fall_within_guesses(path, vocab):
    case = Case((1, 40), n_predict=40, seed=5)
    ((pieces, _),) = wanted = alone(path, vocab, [case])
    text = "".join(piece.text for piece in pieces)
    stop = text[len(text) // 2 :][:4]
    oracle = Oracle([text_of(case, pieces)], 1.0)
    with serving(path, vocab, 1, guesser=oracle) as (_, scheduler):
        got, end = result(scheduler.submit(case.request(vocab, stop=(stop,))))
        assert end.finish is Finish.STOP_TEXT
        assert got == pieces[: len(got)]
        assert stop in "".join(piece.text for piece in got)
        assert stop not in "".join(piece.text for piece in got[:-1])
        assert result(scheduler.submit(case.request(vocab))) == wanted[0]


def test_grammars_hold_whatever_is_guessed(path, vocab):
    def request():
        constraint = Grammar(parse_gbnf('root ::= ("a" | "b" | " ")+')).matcher(vocab)
        params = SamplingParams(seed=3, ignore_eos=True)
        sampler = Sampler(params, vocab.n_tokens, vocab.eog_ids, constraint=constraint)
        return Request((1, 40), sampler, n_predict=30)

    with serving(path, vocab, 1) as (_, scheduler):
        wanted = result(scheduler.submit(request()))
    text = [1, 40, *(piece.token for piece in wanted[0])]
    for share in (1.0, 0.5):
        with serving(path, vocab, 1, guesser=Oracle([text], share)) as (_, scheduler):
            job = scheduler.submit(request())
            assert result(job) == wanted
            assert job.usage.n_accepted > 0


def test_scores_are_those_of_the_same_tokens(path, vocab):
    case = Case((1, 40), n_predict=25, seed=2)
    ((pieces, _),) = alone(path, vocab, [case])
    scores = []
    for guesser in (None, Oracle([text_of(case, pieces)], 0.8)):
        with serving(path, vocab, 2, guesser=guesser) as (_, scheduler):
            scores.append(list(scheduler.submit(case.request(vocab, n_logprobs=2)).pieces()))
    assert scores[0] == scores[1]
    assert np.isfinite([piece.logprob for piece in scores[0]]).all()
