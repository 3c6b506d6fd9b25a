"""Many requests at once: each gets what it gets alone, and leaves nothing behind."""

from __future__ import annotations

import random
import threading
import time

import numpy as np
import pytest

from llamakit.core.engine.generate import Finish, Piece
from llamakit.core.engine.scheduler import (
    Cancelled,
    Ended,
    Failed,
    QueueFull,
    Request,
    SchedulerClosed,
    ScoredPiece,
)
from llamakit.core.engine.scheduler import job as job_module
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.params import SamplingParams
from llamakit.errors import LlamakitError, UsageError

from .... import golden
from ....running import open_context
from .serving import N_CTX, Case, alone, random_case, result, serving, wait_until


@pytest.mark.parametrize("seed, n_seq", [(0, 1), (1, 2), (2, 4), (3, 7)])
def test_requests_beside_others_give_what_they_give_alone(path, vocab, seed, n_seq):
    """The context holds one of the longer ones at a time: they wait, and are moved out of it and back."""
    rng = random.Random(seed)
    cases = [random_case(rng, vocab) for _ in range(24)]
    wanted = alone(path, vocab, cases)
    with serving(path, vocab, n_seq) as (_, scheduler):
        jobs = [scheduler.submit(case.request(vocab)) for case in cases]
        for case, job, (pieces, end) in zip(cases, jobs, wanted, strict=True):
            assert (case, result(job)) == (case, (pieces, end))


@pytest.mark.parametrize("seed", range(4))
def test_cancels_at_any_time_change_nothing_for_others(path, vocab, seed):
    rng = random.Random(10 + seed)
    cases = [random_case(rng, vocab) for _ in range(24)]
    lasting = {i: case for i, case in enumerate(cases) if i % 2}
    wanted = dict(zip(lasting, alone(path, vocab, lasting.values()), strict=True))
    with serving(path, vocab, 3) as (_, scheduler):
        jobs, got = [], {}

        def read(i):
            got[i] = result(jobs[i])

        readers = [threading.Thread(target=read, args=(i,)) for i in lasting]
        for case in cases:
            jobs.append(scheduler.submit(case.request(vocab)))
        for reader in readers:
            reader.start()
        for i in set(range(len(cases))) - set(lasting):
            for _ in range(rng.randrange(cases[i].n_predict + 1)):
                if isinstance(jobs[i].next_event(60), Ended):
                    break
            jobs[i].cancel()
        for reader in readers:
            reader.join(60)
        assert got == wanted
        wait_until(lambda: scheduler.n_running == scheduler.n_waiting == 0)
        assert all(isinstance(job.end, Cancelled | Ended) for job in jobs)
        assert any(isinstance(job.end, Cancelled) for job in jobs)


def test_jobs_move_out_of_a_full_context_and_back(path, vocab, monkeypatch):
    """Two that each fill the context; the older one is never moved."""
    cases = [Case((1, 30 + i), n_predict=300, seed=1) for i in range(2)]
    wanted = alone(path, vocab, cases)
    swapped = []
    with serving(path, vocab, 2) as (_, scheduler):
        for slot in scheduler.slots:
            swap_out = slot.swap_out
            monkeypatch.setattr(slot, "swap_out", lambda out=swap_out, s=slot: (swapped.append(s.job.number), out()))
        jobs = [scheduler.submit(case.request(vocab)) for case in cases]
        assert [result(job) for job in jobs] == wanted
        assert [end.finish for _, end in wanted] == [Finish.CONTEXT_FULL] * 2
    assert set(swapped) == {jobs[1].number}


@pytest.mark.parametrize("name", ["jamba-dense", "lfm2-dense"])
def test_models_that_remember_are_served_too(name, tmp_path, vocab):
    wanted = golden.excerpts()[name]
    path = golden.write_golden(wanted, tmp_path / "model.gguf")
    tokens = [int(token) for token in wanted.tokens]
    with open_context(path, n_ctx=128, n_ubatch=16) as context:
        expected = []
        n_vocab = context.n_vocab
        for n in (3, 60, 20, 90):
            context.truncate(0)
            logits, drawn = context.prefill(tokens[:n]), []
            for _ in range(25):
                drawn.append(int(logits.argmax()))
                logits = context.step(drawn[-1])
            expected.append(drawn)

    class Vocab:
        def piece(self, token, *, special=False):
            return b"x"

        def is_eog(self, token):
            return False

    with serving(path, Vocab(), 2, n_ctx=128, n_ubatch=16) as (_, scheduler):
        jobs = [
            scheduler.submit(Request(tokens[:n], Sampler(SamplingParams(temperature=0), n_vocab), n_predict=25))
            for n in (3, 60, 20, 90)
        ]
        assert [[piece.token for piece in job.pieces()] for job in jobs] == expected


# sharing
def test_a_reader_that_stalls_stops_nobody_else(path, vocab, monkeypatch):
    monkeypatch.setattr(job_module, "MOST_UNREAD", 5)
    lazy, busy = Case((1, 40), n_predict=60, seed=3), Case((1, 50), n_predict=60, seed=4)
    wanted = alone(path, vocab, [lazy, busy])
    with serving(path, vocab, 2) as (_, scheduler):
        job = scheduler.submit(lazy.request(vocab))
        wait_until(lambda: job.is_stalled)
        assert result(scheduler.submit(busy.request(vocab))) == wanted[1]
        assert job.usage.n_drawn == 5
        assert result(job) == wanted[0]


def test_whose_reader_stalls_gives_its_cells_to_others(path, vocab, monkeypatch):
    monkeypatch.setattr(job_module, "MOST_UNREAD", 5)
    lazy, busy = Case((1, *range(20, 120)), n_predict=60), Case((1, 50), n_predict=240, seed=4)
    wanted = alone(path, vocab, [lazy, busy])
    with serving(path, vocab, 2) as (_, scheduler):
        job = scheduler.submit(lazy.request(vocab))
        wait_until(lambda: job.is_stalled)
        assert result(scheduler.submit(busy.request(vocab))) == wanted[1]
        assert result(job) == wanted[0]


def test_a_short_prompt_does_not_wait_for_a_long_one(path, vocab):
    with serving(path, vocab, 2, n_ubatch=8) as (_, scheduler):
        long = scheduler.submit(Case((1, *range(20, 220)), n_predict=2).request(vocab))
        short = scheduler.submit(Case((1, 40, 41), n_predict=2).request(vocab))
        for job in (long, short):
            result(job)
        assert short.usage.ended < long.usage.first_drawn


def test_a_prompt_joins_while_another_job_draws(path, vocab):
    with serving(path, vocab, 2) as (_, scheduler):
        endless = scheduler.submit(Case((1, 40), n_predict=-1, seed=1, n_keep=2).request(vocab))
        endless.next_event(60)
        pieces, end = result(scheduler.submit(Case((1, 50), n_predict=9).request(vocab)))
        assert (len(pieces), end.finish) == (9, Finish.LENGTH)
        assert endless.end is None
        endless.cancel()
        wait_until(lambda: endless.end == Cancelled())


def test_a_scheduler_without_work_sleeps(path, vocab):
    with serving(path, vocab, 2) as (_, scheduler):
        result(scheduler.submit(Case((1, 40)).request(vocab)))
        time.sleep(0.05)
        begin = time.process_time()
        time.sleep(0.3)
        assert time.process_time() - begin < 0.1


# what the cache has
def test_a_prompt_begins_with_what_the_cache_has(path, vocab):
    first = Case((1, *range(20, 90)), n_predict=5)
    with serving(path, vocab, 3) as (_, scheduler):
        pieces, _ = result(scheduler.submit(first.request(vocab)))
        answer = tuple(piece.token for piece in pieces)
        result(scheduler.submit(Case((2, 3, 4)).request(vocab)))  # takes another slot
        following = Case((*first.tokens, *answer, 33, 34), n_predict=5)
        (wanted,) = alone(path, vocab, [following])
        for n_cached, more in [(75, {}), (77, {}), (0, {"use_cache": False})]:
            job = scheduler.submit(following.request(vocab, **more))
            assert result(job) == wanted
            assert job.usage.n_cached == n_cached
            assert job.usage.n_prompt == 78


def test_what_a_shift_has_moved_serves_nobody_else(path, vocab):
    """Its cells are not those of the same tokens computed anew."""
    shifting = Case((1, 40, 41, 42), n_predict=400, seed=1, n_keep=3)
    with serving(path, vocab, 1) as (_, scheduler):
        pieces, _ = result(scheduler.submit(shifting.request(vocab)))
        assert len(pieces) == 400
        assert scheduler.slots[0].tokens == [1, 40, 41]


@pytest.mark.parametrize("n_keep", [0, 4, 100])
def test_a_long_prompt_shifts_where_it_does_alone_whatever_the_cache_has(path, vocab, n_keep):
    rng = random.Random(n_keep)
    tokens = (1, *(rng.randrange(3, vocab.n_tokens) for _ in range(400)))
    case = Case(tokens, n_predict=30, n_keep=n_keep)
    (wanted,) = alone(path, vocab, [case])
    for n_before in (60, 200, N_CTX - 1):
        with serving(path, vocab, 2) as (_, scheduler):
            result(scheduler.submit(Case(tokens[:n_before], n_predict=0).request(vocab)))
            job = scheduler.submit(case.request(vocab))
            assert result(job) == wanted
            assert job.usage.n_cached > 0


def test_pieces_have_the_log_probabilities_that_were_asked_for(path, vocab):
    with serving(path, vocab, 2) as (_, scheduler):
        beside = scheduler.submit(Case((1, 50), n_predict=30).request(vocab))
        job = scheduler.submit(Case((1, 40), n_predict=10, seed=1).request(vocab, n_logprobs=3))
        pieces = list(job.pieces())
        assert all(type(piece) is Piece for piece in beside.pieces())
    with open_context(path, n_ctx=N_CTX, n_ubatch=32) as context:
        logits = context.prefill((1, 40))
        for piece in pieces:
            assert isinstance(piece, ScoredPiece)
            exact = logits.astype(np.float64) - np.log(np.exp(logits.astype(np.float64)).sum())
            assert piece.logprob == pytest.approx(exact[piece.token], abs=1e-5)
            assert [token for token, _ in piece.likeliest] == np.argsort(-exact, kind="stable")[:3].tolist()
            assert [score for _, score in piece.likeliest] == pytest.approx(np.sort(exact)[:-4:-1], abs=1e-5)
            logits = context.step(piece.token)


def test_a_job_may_tell_all_with_its_end(path, vocab, monkeypatch):
    monkeypatch.setattr(job_module, "MOST_UNREAD", 4)  # who reads nothing before the end does not lag behind
    case, told = Case((1, 40), n_predict=20, seed=3), []
    (wanted,) = alone(path, vocab, [case])
    with serving(path, vocab, 2) as (_, scheduler):
        request = case.request(vocab, tells_at_end=True)
        job = scheduler.submit(request, lambda: told.append(job.usage.n_drawn))
        wait_until(lambda: job.end is not None and told)
        assert told == [len(wanted[0])]
        assert result(job) == wanted


# ends
@pytest.mark.parametrize(
    "case, finish",
    [
        (Case((1, 40), n_predict=0), Finish.LENGTH),
        (Case((1, 40), n_predict=5), Finish.LENGTH),
        (Case((1, 40), n_predict=-1), Finish.CONTEXT_FULL),
        (Case((1, *[30] * (N_CTX - 1)), n_predict=-1), Finish.CONTEXT_FULL),
    ],
)
def test_a_job_ends_as_it_does_alone(path, vocab, case, finish):
    (wanted,) = alone(path, vocab, [case])
    assert wanted[1].finish is finish
    with serving(path, vocab, 2) as (_, scheduler):
        assert result(scheduler.submit(case.request(vocab))) == wanted


def test_a_stop_text_across_tokens_ends_a_job(path, vocab):
    case = Case((1, 40), n_predict=40, seed=5)
    ((pieces, _),) = alone(path, vocab, [case])
    text = "".join(piece.text for piece in pieces)
    stop = text[len(text) // 2 :][:4]
    with serving(path, vocab, 2) as (_, scheduler):
        got, end = result(scheduler.submit(case.request(vocab, stop=("never there", stop))))
    assert end.finish is Finish.STOP_TEXT
    assert got == pieces[: len(got)]
    assert stop in "".join(piece.text for piece in got)
    assert stop not in "".join(piece.text for piece in got[:-1])


def test_closing_the_pieces_cancels(path, vocab):
    with serving(path, vocab, 2) as (_, scheduler):
        job = scheduler.submit(Case((1, 40), n_predict=-1, n_keep=1).request(vocab))
        pieces = job.pieces()
        next(pieces)
        pieces.close()
        wait_until(lambda: job.end == Cancelled())
        assert scheduler.n_running == 0


def test_a_job_is_cancelled_while_it_waits(path, vocab):
    with serving(path, vocab, 1) as (_, scheduler):
        endless = scheduler.submit(Case((1, 40), n_predict=-1, n_keep=1).request(vocab))
        endless.next_event(60)
        waiting = scheduler.submit(Case((1, 50)).request(vocab))
        waiting.cancel()
        assert waiting.next_event(60) == Cancelled()
        assert endless.end is None


def test_a_job_that_cannot_notify_is_cancelled(path, vocab):
    def gone():
        raise RuntimeError("the loop is closed")

    with serving(path, vocab, 1) as (_, scheduler):
        job = scheduler.submit(Case((1, 40), n_predict=-1, n_keep=1).request(vocab), gone)
        wait_until(lambda: job.end == Cancelled())


# errors
class Broken:
    """A grammar that allows everything until it breaks."""

    def __init__(self, n):
        self.n = n

    def fill_mask(self, mask):
        mask[:] = np.uint32(0xFFFFFFFF) if self.n else 0

    def accept(self, token):
        self.n -= 1


def test_an_error_of_one_request_is_its_own(path, vocab):
    fine = Case((1, 50), n_predict=40, seed=2)
    (wanted,) = alone(path, vocab, [fine])
    with serving(path, vocab, 2) as (_, scheduler):
        job = scheduler.submit(fine.request(vocab))
        params = SamplingParams(ignore_eos=True)
        sampler = Sampler(params, vocab.n_tokens, vocab.eog_ids, constraint=Broken(3))
        broken = scheduler.submit(Request((1, 60), sampler))
        got = []
        with pytest.raises(UsageError, match="no token may come next"):
            for piece in broken.pieces():
                got.append(piece)
        assert len(got) == 3
        assert result(job) == wanted


def test_a_sampler_for_another_vocabulary_is_the_error_of_its_own_request(path, vocab):
    with serving(path, vocab, 1) as (_, scheduler):
        job = scheduler.submit(Request((1, 60), Sampler(SamplingParams(repeat_penalty=1.5), 50)))
        with pytest.raises(UsageError, match="no token 60"):
            list(job.pieces())
        assert len(result(scheduler.submit(Case((1, 50), n_predict=3).request(vocab)))[0]) == 3


def test_a_step_that_fails_is_the_end_of_those_in_it_only(path, vocab, monkeypatch):
    case = Case((1, 50), n_predict=10)
    (wanted,) = alone(path, vocab, [case])
    with serving(path, vocab, 2) as (context, scheduler):
        wait_until(lambda: scheduler.seconds_stuck == 0)
        slices = context.slices

        def failing(chunks):
            monkeypatch.setattr(context, "slices", slices)
            raise MemoryError("none left")

        monkeypatch.setattr(context, "slices", failing)
        job = scheduler.submit(case.request(vocab))
        assert isinstance(job.next_event(60), Failed)
        assert result(scheduler.submit(case.request(vocab))) == wanted


@pytest.mark.parametrize(
    "tokens, message",
    [([], "empty"), ([1, -1], "token -1 is not"), ([1 << 30], "not in the vocabulary"), ([5] * 257, "257 tokens")],
)
def test_a_prompt_that_cannot_be_is_refused_at_once(path, vocab, tokens, message):
    with serving(path, vocab, 1) as (_, scheduler), pytest.raises(UsageError, match=message):
        scheduler.submit(Case(tuple(tokens)).request(vocab))


def test_a_context_that_keeps_all_is_the_error_of_its_own_request(path, vocab):
    with serving(path, vocab, 2) as (_, scheduler):
        job = scheduler.submit(Case(tuple([5] * 300), n_keep=N_CTX).request(vocab))
        with pytest.raises(LlamakitError, match="is full"):
            list(job.pieces())


def test_a_queue_has_an_end(path, vocab):
    with serving(path, vocab, 1, n_queue_max=2) as (_, scheduler):
        endless = Case((1, 40), n_predict=-1, n_keep=1)
        scheduler.submit(endless.request(vocab)).next_event(60)
        for _ in range(2):
            scheduler.submit(endless.request(vocab))
        with pytest.raises(QueueFull, match="3 requests are running or waiting, and no more than 3 may"):
            scheduler.submit(endless.request(vocab))


def test_without_a_queue_slots_take_what_they_can_serve(path, vocab):
    with serving(path, vocab, 2, n_queue_max=0) as (_, scheduler):
        endless = Case((1, 40), n_predict=-1, n_keep=1).request(vocab)
        scheduler.submit_many([endless, Case((1, 41), n_predict=-1, n_keep=1).request(vocab)])
        with pytest.raises(QueueFull, match="2 requests are running or waiting"):
            scheduler.submit(Case((1, 42)).request(vocab))


# closing
def test_closing_cancels_all_or_waits_for_all(path, vocab):
    case = Case((1, 40), n_predict=30, seed=1)
    (wanted,) = alone(path, vocab, [case])
    with serving(path, vocab, 2) as (_, scheduler):
        jobs = [scheduler.submit(case.request(vocab)) for _ in range(5)]
        scheduler.close(drain=True)
        assert [result(job) for job in jobs] == [wanted] * 5
        with pytest.raises(SchedulerClosed):
            scheduler.submit(case.request(vocab))
    with serving(path, vocab, 2) as (_, scheduler):
        jobs = [scheduler.submit(Case((1, 40), n_predict=-1, n_keep=1).request(vocab)) for _ in range(5)]
        jobs[0].next_event(60)
        scheduler.close()
        assert [job.end for job in jobs] == [Cancelled()] * 5
        assert not scheduler.is_alive


def test_a_mistake_of_ours_ends_all_jobs_with_its_error(path, vocab, monkeypatch, caplog):
    with serving(path, vocab, 1) as (_, scheduler):
        jobs = [scheduler.submit(Case((1, 40), n_predict=-1, n_keep=1).request(vocab)) for _ in range(3)]
        jobs[0].next_event(60)
        monkeypatch.setattr(scheduler._steps, "parts", lambda slots: 1 / 0)
        wait_until(lambda: not scheduler.is_alive)
        assert all(isinstance(job.end, Failed) for job in jobs)
        assert "the scheduler ends" in caplog.text
