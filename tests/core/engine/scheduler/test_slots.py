"""Slots as llama-server shows them: looked at, chosen, saved, restored, erased; and figures of them all."""

from __future__ import annotations

import threading

import pytest

from llamakit.core.engine.scheduler import SchedulerClosed
from llamakit.core.engine.state import StateError
from llamakit.errors import UsageError

from ....tiny import Tiny, write_tiny
from ...vocab.vocabs import spm_metadata
from .serving import N_CTX, Case, alone, result, serving, wait_until

LONG = (1, *range(20, 120))


def test_a_saved_slot_serves_another_scheduler(path, vocab, tmp_path):
    case, following = Case(LONG, n_predict=30), Case((*LONG, 33), n_predict=9)
    (wanted,) = alone(path, vocab, [following])
    file = tmp_path / "slot.bin"
    with serving(path, vocab, 2) as (_, scheduler):
        result(scheduler.submit(case.request(vocab, slot=1)))
        assert scheduler.save_slot(1, file) == (130, file.stat().st_size)
        assert scheduler.save_slot(0, tmp_path / "nothing.bin")[0] == 0
    with serving(path, vocab, 2) as (_, scheduler):
        assert scheduler.restore_slot(0, file) == (130, file.stat().st_size)
        assert scheduler.slots_info()[0].n_past == 130
        job = scheduler.submit(following.request(vocab))
        assert result(job) == wanted
        assert job.usage.n_cached == 101


def test_a_slot_is_saved_when_it_is_idle(path, vocab, tmp_path):
    with serving(path, vocab, 1) as (_, scheduler):
        job = scheduler.submit(Case((1, 40), n_predict=-1, n_keep=1).request(vocab))
        job.next_event(60)
        saved = []
        saver = threading.Thread(target=lambda: saved.append(scheduler.save_slot(0, tmp_path / "a.bin")))
        saver.start()
        other = scheduler.submit(Case((1, 50)).request(vocab))  # came later: the slot's file is written first
        assert not saved
        job.cancel()
        saver.join(60)
        assert saved[0][0] > 0
        result(other)


def test_what_is_erased_is_computed_again(path, vocab):
    with serving(path, vocab, 2) as (_, scheduler):
        result(scheduler.submit(Case(LONG, n_predict=1).request(vocab, slot=0)))
        result(scheduler.submit(Case((*LONG[:64], 5, 6), n_predict=1).request(vocab, slot=1)))
        assert scheduler.erase_slot(0) == 37  # the first block is the other's too
        assert scheduler.erase_slot(0) == 0
        job = scheduler.submit(Case(LONG, n_predict=1).request(vocab))
        result(job)
        assert job.usage.n_cached == 64


def test_files_of_other_models_are_refused(path, vocab, tmp_path):
    keys = spm_metadata()
    other = write_tiny(tmp_path / "other.gguf", Tiny(n_vocab=len(keys["tokenizer.ggml.tokens"]), metadata=keys, seed=9))
    with serving(other, vocab, 1) as (_, scheduler):
        result(scheduler.submit(Case((1, 40)).request(vocab)))
        scheduler.save_slot(0, tmp_path / "a.bin")
    with serving(path, vocab, 1) as (_, scheduler):
        with pytest.raises(StateError, match="other weights"):
            scheduler.restore_slot(0, tmp_path / "a.bin")
        with pytest.raises(StateError):
            scheduler.restore_slot(0, tmp_path / "missing.bin")
        with pytest.raises(UsageError, match="no slot 1"):
            scheduler.erase_slot(1)


def test_a_request_waits_for_the_slot_that_it_wants(path, vocab):
    with serving(path, vocab, 2) as (_, scheduler):
        endless = scheduler.submit(Case((1, 40), n_predict=-1, n_keep=1).request(vocab, slot=1))
        endless.next_event(60)
        waiting = scheduler.submit(Case((1, 50), n_predict=3).request(vocab, slot=1))
        passing = scheduler.submit(Case((1, 60), n_predict=3).request(vocab))
        result(passing)
        assert (endless.slot, passing.slot, waiting.slot) == (1, 0, None)
        endless.cancel()
        result(waiting)
        assert waiting.slot == 1
        with pytest.raises(UsageError, match="no slot 2"):
            scheduler.submit(Case((1, 50)).request(vocab, slot=2))


def test_slots_say_what_they_do(path, vocab):
    with serving(path, vocab, 2) as (_, scheduler):
        assert [info.state for info in scheduler.slots_info()] == ["IDLE", "IDLE"]
        job = scheduler.submit(Case(LONG, n_predict=-1, n_keep=1).request(vocab))
        job.next_event(60)
        info = scheduler.slots_info()[job.slot]
        assert (info.state, info.job, info.n_ctx, info.n_prompt, info.n_prefilled) == ("DECODE", 1, N_CTX, 101, 101)
        assert info.n_past >= 101
        job.cancel()
        wait_until(lambda: job.end is not None)
        assert scheduler.slots_info()[job.slot].state == "IDLE"


def test_figures_count_what_was_done(path, vocab):
    with serving(path, vocab, 2) as (_, scheduler):
        for _ in range(2):
            result(scheduler.submit(Case(LONG, n_predict=30).request(vocab)))
        now = scheduler.stats()
        done = now.counters
        assert (now.n_submitted, now.n_running, now.n_waiting, now.n_slots) == (2, 0, 0, 2)
        assert (done.n_ended, done.n_prompt, done.n_cached, done.n_drawn) == (2, 102, 100, 60)
        assert done.n_longest == 131
        assert done.n_steps == done.n_busy == 63  # 101 tokens in four steps of up to 32, then 1
        assert done.prompt_seconds > 0 < done.draw_seconds
        assert now.n_blocks_free + now.n_blocks_kept == now.n_blocks


def test_a_heartbeat_tells_stuck_from_idle(path, vocab, monkeypatch):
    with serving(path, vocab, 1) as (context, scheduler):
        result(scheduler.submit(Case((1, 40)).request(vocab)))
        wait_until(lambda: scheduler.seconds_stuck == 0)
        go_on, slices = threading.Event(), context.slices
        monkeypatch.setattr(context, "slices", lambda chunks: (go_on.wait(60), slices(chunks))[1])
        job = scheduler.submit(Case((1, 40)).request(vocab))
        wait_until(lambda: scheduler.seconds_stuck > 0.02)
        go_on.set()
        result(job)
        wait_until(lambda: scheduler.seconds_stuck == 0)


def test_errands_end_with_the_scheduler(path, vocab, tmp_path):
    with serving(path, vocab, 1) as (_, scheduler):
        scheduler.close()
        with pytest.raises(SchedulerClosed):
            scheduler.erase_slot(0)
