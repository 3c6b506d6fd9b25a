"""Faults of spec/faults.md as the scheduler sees them: one request suffers, and nobody else."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from llamakit.core.engine.context import Context
from llamakit.core.engine.scheduler import Ended, Failed, QueueFull, Request
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.grammar.gbnf import parse_gbnf
from llamakit.core.grammar.grammar import Grammar
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.params import SamplingParams
from llamakit.errors import LlamakitError, UsageError

from ....tiny import Tiny, write_tiny
from ...vocab.vocabs import spm_metadata
from .serving import Case, alone, result, serving, wait_until

NAN_TOKEN = 77


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory):
    """A model that gives no numbers as soon as it has seen one token, which no other text here has."""
    keys = spm_metadata()
    tiny = Tiny(n_vocab=len(keys["tokenizer.ggml.tokens"]), metadata=keys)
    path = write_tiny(tmp_path_factory.mktemp("models") / "nan.gguf", tiny)
    data = bytearray(path.read_bytes())
    with GGUFReader(path) as reader:
        tensor = reader.tensor("token_embd.weight")
        row = tensor.n_bytes // len(keys["tokenizer.ggml.tokens"])
        start = tensor.offset + NAN_TOKEN * row
    data[start : start + row] = np.full(row // 4, np.nan, np.float32).tobytes()
    path.write_bytes(data)
    return path


def test_fault_35_logits_that_are_no_numbers_fail_their_request_only(poisoned, vocab):
    """Nor do the cells that it leaves behind spoil those who get them next."""
    fine = [Case((1, 40 + i), n_predict=60, seed=None, n_keep=2) for i in range(3)]
    bans = {NAN_TOKEN: -np.inf}

    def request(case):
        sampler = Sampler(SamplingParams(temperature=0, logit_bias=bans, ignore_eos=True), vocab.n_tokens, {2})
        return Request(case.tokens, sampler, n_predict=case.n_predict, show_special=True)

    with serving(poisoned, vocab, 2) as (_, scheduler):
        wanted = [[piece.token for piece in scheduler.submit(request(case)).pieces()] for case in fine]
    with serving(poisoned, vocab, 2) as (_, scheduler):
        for case, tokens in zip(fine, wanted, strict=True):
            beside = scheduler.submit(request(case))
            spoilt = scheduler.submit(request(Case((1, *range(20, 60), NAN_TOKEN, *range(20, 60)), n_predict=5)))
            with pytest.raises(LlamakitError, match="non-finite logits"):
                list(spoilt.pieces())
            assert [piece.token for piece in beside.pieces()] == tokens


class Exploding:
    """A grammar that gives up: as too many stacks make one do."""

    def fill_mask(self, mask):
        raise LlamakitError("the grammar is too ambiguous: more than 4096 stacks")

    def accept(self, token):
        pass


def test_fault_62_63_a_grammar_that_gives_up_fails_its_request_only(path, vocab):
    fine = Case((1, 50), n_predict=40, seed=2)
    (wanted,) = alone(path, vocab, [fine])
    with serving(path, vocab, 2) as (_, scheduler):
        job = scheduler.submit(fine.request(vocab))
        sampler = Sampler(SamplingParams(), vocab.n_tokens, constraint=Exploding())
        failed = scheduler.submit(Request((1, 60), sampler))
        assert isinstance(failed.next_event(60), Failed)
        assert result(job) == wanted


def test_fault_64_a_grammar_without_a_way_on_is_an_error_and_no_loop(path, vocab):
    """Behind the one letter that it allows, the end of the text is banned."""
    with serving(path, vocab, 2) as (_, scheduler):
        params = SamplingParams(temperature=0, logit_bias=dict.fromkeys(vocab.eog_ids, -np.inf))
        constraint = Grammar(parse_gbnf('root ::= "a"')).matcher(vocab)
        job = scheduler.submit(Request((1, 60), Sampler(params, vocab.n_tokens, vocab.eog_ids, constraint=constraint)))
        with pytest.raises(UsageError, match="no token may come next"):
            list(job.pieces())
        assert job.usage.n_drawn <= 2


def test_fault_75_ten_times_more_requests_than_slots_are_served_in_turn(path, vocab):
    """Small ones do not starve behind large ones, and what the queue has no room for is refused at once."""
    cases = [Case((1, 40 + i % 9), n_predict=60 if i % 3 == 0 else 2, seed=i) for i in range(40)]
    wanted = alone(path, vocab, cases)
    with serving(path, vocab, 4, n_queue_max=36) as (_, scheduler):
        jobs = [scheduler.submit(case.request(vocab)) for case in cases[:20]]
        jobs += [scheduler.submit(case.request(vocab)) for case in cases[20:36]]
        endless = Case((1, 90), n_predict=-1, n_keep=1)
        refused = 0
        for _ in range(60):
            try:
                scheduler.submit(endless.request(vocab)).cancel()
            except QueueFull:
                refused += 1
        assert refused == scheduler.stats().counters.n_refused
        assert [result(job) for job in jobs] == wanted[:36]
        starts = [job.usage.started for job in jobs]
        assert starts == sorted(starts)


def test_fault_76_a_long_prompt_delays_others_by_a_part_of_it_a_step(path, vocab):
    """While it is computed, those that draw get a token in every step, and no step has more than a part of it."""
    with serving(path, vocab, 3, n_ctx=2048, n_ubatch=256, n_prefill_beside=16) as (context, scheduler):
        chats = [scheduler.submit(Case((1, 40 + i), n_predict=-1, seed=i).request(vocab)) for i in range(2)]
        for chat in chats:
            chat.next_event(60)
        sizes, slices = [], context.slices

        def counting(chunks):
            sizes.append([len(chunk.tokens) for chunk in chunks])
            return slices(chunks)

        context.slices = counting
        long = scheduler.submit(Case(tuple(3 + i % 90 for i in range(900)), n_predict=1).request(vocab))
        result(long)
        context.slices = slices
        beside = [step for step in sizes if len(step) == 3 and max(step) > 1]
        assert len(beside) >= 900 // 16
        assert all(sorted(step)[:2] == [1, 1] and max(step) <= 16 for step in beside)
        for chat in chats:
            chat.cancel()
        wait_until(lambda: scheduler.n_running == 0)


def test_fault_90_the_same_seed_gives_the_same_beside_neighbours_that_fail_and_leave(path, vocab):
    case = Case((1, *range(20, 70)), n_predict=60, seed=11, penalty=1.1)
    (wanted,) = alone(path, vocab, [case])
    with serving(path, vocab, 4) as (_, scheduler):
        for round in range(4):
            others = [
                scheduler.submit(Request((1, *range(20, 60)), Sampler(SamplingParams(), vocab.n_tokens, **more)))
                for more in ({}, {"constraint": Exploding()}, {})
            ]
            job = scheduler.submit(case.request(vocab))
            canceller = threading.Timer(0.005 * round, others[0].cancel)
            canceller.start()
            assert result(job) == wanted
            others[2].cancel()
            canceller.join()
        wait_until(lambda: scheduler.n_running == 0)
        assert all(isinstance(other.end, Failed | Ended) or other.end is not None for other in others)


def test_programs_that_cannot_be_prepared_are_asked_for_again(path, vocab, monkeypatch, caplog):
    def prepare(context, runs):
        raise MemoryError("no room for a program")

    fine = Case((1, 50), n_predict=5)
    (wanted,) = alone(path, vocab, [fine])
    monkeypatch.setattr(Context, "prepare", prepare)
    with serving(path, vocab, 2) as (_, scheduler):
        assert result(scheduler.submit(fine.request(vocab))) == wanted
        assert scheduler.is_open
    assert "no room for a program" in caplog.text
