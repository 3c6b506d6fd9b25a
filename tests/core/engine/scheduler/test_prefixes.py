"""What requests share of the cache, and why not more."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from llamakit.core.engine.adapters import load_adapter
from llamakit.core.engine.scheduler import Request
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.params import SamplingParams

from .... import golden
from ....adapters import write_adapter
from ....running import open_context
from .serving import N_CTX, Case, alone, result, serving, wait_until

LONG = (1, *range(20, 120))  # a whole block and 37 tokens more


def test_a_prompt_begins_with_what_a_running_job_has(path, vocab):
    endless = Case(LONG, n_predict=-1, n_keep=1)
    cases = [Case((*LONG, 40 + i), n_predict=12, seed=i) for i in range(3)]
    wanted = alone(path, vocab, cases)
    with serving(path, vocab, 4) as (_, scheduler):
        first = scheduler.submit(endless.request(vocab))
        first.next_event(60)
        jobs = [scheduler.submit(case.request(vocab)) for case in cases]
        assert [result(job) for job in jobs] == wanted
        assert [job.usage.n_cached for job in jobs] == [len(LONG)] * 3
        first.cancel()
        wait_until(lambda: first.end is not None)


def test_several_continuations_compute_their_prompt_once(path, vocab):
    cases = [Case(LONG, n_predict=20, seed=seed) for seed in (1, 2, 3, None)]
    wanted = alone(path, vocab, cases)
    with serving(path, vocab, 4) as (_, scheduler):
        jobs = scheduler.submit_many([case.request(vocab) for case in cases])
        assert [result(job) for job in jobs] == wanted
        assert [job.usage.n_cached for job in jobs] == [0, *[len(LONG) - 1] * 3]
        assert scheduler.stats().counters.n_prompt == len(LONG) + 3
        assert scheduler.stats().counters.n_cached == 3 * (len(LONG) - 1)


def test_prompts_that_begin_alike_are_computed_once_though_they_come_together(path, vocab):
    cases = [Case((*LONG, *range(40 + 10 * i, 60 + 10 * i)), n_predict=10) for i in range(4)]
    wanted = alone(path, vocab, cases)
    with serving(path, vocab, 4) as (_, scheduler):
        jobs = scheduler.submit_many([case.request(vocab) for case in cases])
        assert [result(job) for job in jobs] == wanted
        assert scheduler.stats().counters.n_prompt == len(LONG) + 4 * 20


def test_blocks_of_one_text_computed_twice_are_kept_once(path, vocab):
    case = Case(LONG, n_predict=90)
    with serving(path, vocab, 2) as (_, scheduler):
        jobs = scheduler.submit_many([case.request(vocab, use_cache=False) for _ in range(2)])
        for job in jobs:
            result(job)
        assert [job.usage.n_cached for job in jobs] == [0, 0]
        assert len(scheduler.tree.nodes) == 3  # 190 tokens: two whole blocks and a part


@pytest.mark.parametrize(
    "first, more, n_cached, reason",
    [
        (None, {}, 0, "first request"),
        ((LONG, {}), {}, 100, ""),
        ((LONG[:80], {}), {}, 80, "new from token 80"),
        (((*LONG[:50], *LONG[:20]), {}), {}, 50, "differs at token 50"),
        ((LONG, {}), {"use_cache": False}, 0, "cache off"),
        ((LONG, {}), {"n_prompt_logprobs": 1}, 0, "prompt logprobs"),
        ((LONG, {"salt": "one"}), {"salt": "two"}, 0, "first request"),
        ((LONG, {"salt": "one"}), {"salt": "one"}, 100, ""),
    ],
)
def test_a_job_says_why_no_more_of_its_prompt_was_there(path, vocab, first, more, n_cached, reason):
    with serving(path, vocab, 2) as (_, scheduler):
        if first:
            tokens, options = first
            result(scheduler.submit(Case(tokens, n_predict=1).request(vocab, **options)))
        job = scheduler.submit(Case(LONG, n_predict=1).request(vocab, **more))
        result(job)
        assert (job.usage.n_cached, job.usage.miss_reason) == (n_cached, reason)
        assert job.usage.n_prefilled == len(LONG)


def test_what_others_needed_more_is_said_to_be_evicted(path, vocab):
    with serving(path, vocab, 1) as (_, scheduler):
        result(scheduler.submit(Case(LONG, n_predict=1).request(vocab)))
        result(scheduler.submit(Case(tuple(range(3, 253)), n_predict=1).request(vocab)))
        job = scheduler.submit(Case(LONG, n_predict=1).request(vocab))
        result(job)
        assert (job.usage.n_cached, job.usage.miss_reason) == (0, "evicted")


def test_the_texts_used_last_are_kept_longest(path, vocab):
    """Room for four blocks: two texts of two, and each new one takes the place of the older one."""
    texts = [tuple(range(3 + i, 3 + i + 100)) for i in range(3)]
    with serving(path, vocab, 1) as (_, scheduler):

        def n_cached(i):
            job = scheduler.submit(Case(texts[i], n_predict=1).request(vocab))
            result(job)
            return job.usage.n_cached

        assert [n_cached(i) for i in (0, 1, 0, 2, 0, 1)] == [0, 0, 99, 0, 99, 0]


def test_a_context_shift_beside_jobs_that_share_its_blocks(path, vocab):
    """Copies are made of what others use; they have all they would have alone."""
    shared = (1, *range(20, 150))
    cases = [Case(shared, n_predict=260, seed=1, n_keep=70), *(Case((*shared, 30 + i), 60, seed=i) for i in range(3))]
    wanted = alone(path, vocab, cases)
    with serving(path, vocab, 4) as (_, scheduler):
        jobs = [scheduler.submit(case.request(vocab)) for case in cases]
        assert [result(job) for job in jobs] == wanted


@pytest.mark.parametrize("n_keep", [0, 64, 100])
def test_a_lone_job_shifts_though_the_tree_has_all_its_blocks(path, vocab, n_keep):
    case = Case((1, 40, *range(60, 160)), n_predict=500, seed=3, n_keep=n_keep)
    (wanted,) = alone(path, vocab, [case])
    with serving(path, vocab, 1) as (_, scheduler):
        result(scheduler.submit(Case((*case.tokens, *range(100)), n_predict=30).request(vocab)))  # grows on its blocks
        for _ in range(2):
            assert result(scheduler.submit(case.request(vocab))) == wanted


@pytest.mark.parametrize(
    "case",
    [Case((1, 40, 41), n_predict=200, seed=1), Case((1, 40, 41), n_predict=200, seed=1, n_keep=2),
     Case((1, *range(20, 220)), n_predict=100, seed=2, n_keep=70)],
)  # fmt: skip
def test_a_job_that_may_take_a_part_of_the_context_goes_on_as_in_one_of_that_size(path, vocab, case):
    (wanted,) = alone(path, vocab, [case], n_ctx=128)
    with serving(path, vocab, 3) as (_, scheduler):
        limited = [scheduler.submit(case.request(vocab, n_ctx=128)) for _ in range(2)]
        (free,) = [scheduler.submit(Case(case.tokens, n_predict=40, seed=3).request(vocab, n_ctx=N_CTX + 1))]
        assert [result(job) for job in limited] == [wanted, wanted]
        assert len(result(free)[0]) == 40


def test_n_discard_says_how_much_a_shift_takes_out(path, vocab):
    case = Case((1, 40, 41), n_predict=300, seed=1, n_keep=2)
    with serving(path, vocab, 1) as (_, scheduler):
        texts = {}
        for n_discard in (0, 10, 126):
            pieces, _ = result(scheduler.submit(case.request(vocab, n_discard=n_discard)))
            assert len(pieces) == 300
            texts[n_discard] = [piece.token for piece in pieces]
    assert texts[0] != texts[10]
    assert texts[0] == texts[126]  # half of what is not kept


@pytest.mark.parametrize("name", ["jamba-dense", "lfm2-dense"])
def test_layers_that_remember_begin_where_their_state_was_kept(name, tmp_path):
    wanted = golden.excerpts()[name]
    path = golden.write_golden(wanted, tmp_path / "model.gguf")
    tokens = [int(token) for token in wanted.tokens]
    tokens = (tokens * (150 // len(tokens) + 1))[:150]

    class Vocab:
        def piece(self, token, *, special=False):
            return b"x"

        def is_eog(self, token):
            return False

    def request(tokens, n_predict=8):
        return Request(tokens, Sampler(SamplingParams(temperature=0), n_vocab), n_predict=n_predict)

    with open_context(path, n_ctx=N_CTX, n_ubatch=32) as context:
        n_vocab = context.n_vocab
        logits, alone = context.prefill(tokens), []
        for _ in range(8):
            alone.append(int(logits.argmax()))
            logits = context.step(alone[-1])
    with serving(path, Vocab(), 2, n_ubatch=32) as (_, scheduler):
        jobs, answers = [], []
        for n in (100, 150, 150, 149, 120, 150):
            jobs.append(scheduler.submit(request(tokens[:n])))
            answers.append([piece.token for piece in jobs[-1].pieces()])
        assert answers[1] == answers[2] == answers[5] == alone
        # behind 64 and 128 tokens of a prompt, and at the ends of texts, which none of these prompts goes on from
        assert [job.usage.n_cached for job in jobs] == [0, 64, 128, 128, 64, 128]
        assert [job.usage.miss_reason for job in jobs[1:]] == ["recurrent state"] * 5
        following = [*tokens, *alone, 5]
        job = scheduler.submit(request(following))
        list(job.pieces())
        assert (job.usage.n_cached, job.usage.miss_reason) == (157, "new from token 157")
        assert 0 < scheduler.tree.n_states <= 8


# adapters
@pytest.fixture(scope="module")
def adapters(path, tmp_path_factory):
    folder, names = tmp_path_factory.mktemp("adapters"), ("blk.0.attn_v.weight", "blk.1.ffn_up.weight")
    files = {name: write_adapter(folder / f"{name}.gguf", path, names, 2, 40.0, i) for i, name in enumerate("ab")}
    return {name: load_adapter(file) for name, file in files.items()}


def test_requests_with_other_adapters_run_side_by_side(path, vocab, adapters):
    case = Case(LONG, n_predict=20)
    all_scales = [(), (("a", 1.0),), (("b", 0.5),), (("a", 0.5), ("b", 1.0)), (("a", 2.0),)]
    in_use = [[(adapters[name], scale) for name, scale in scales] for scales in all_scales]
    wanted = [alone(path, vocab, [case], scaled)[0] for scaled in in_use]
    assert len({str(one) for one in wanted}) == len(wanted)
    with serving(path, vocab, 4, adapters=adapters, n_ctx=1024) as (_, scheduler):
        for _ in range(2):
            jobs = [scheduler.submit(case.request(vocab, adapters=scales)) for scales in all_scales]
            assert [result(job) for job in jobs] == wanted
        assert [job.usage.n_cached for job in jobs] == [100] * 5
        scheduler.set_adapter_scales({"b": 0.5})
        assert scheduler.adapter_scales == (("b", 0.5),)
        assert result(scheduler.submit(case.request(vocab))) == wanted[2]
        job = scheduler.submit(case.request(vocab, adapters=(("b", 3.0),)))
        result(job)
        assert (job.usage.n_cached, job.usage.miss_reason) == (0, "adapter differs")


def test_a_request_beside_adapters_has_the_bits_that_it_has_without(path, vocab, adapters):
    cases = [Case((1, 30 + i), n_predict=30, seed=i) for i in range(6)]
    wanted = alone(path, vocab, cases)
    with serving(path, vocab, 4, adapters=adapters) as (_, scheduler):
        others = [scheduler.submit(case.request(vocab, adapters=(("a", 1.0),))) for case in cases[:3]]
        jobs = [scheduler.submit(case.request(vocab)) for case in cases]
        assert [result(job) for job in jobs] == wanted
        for job in others:
            result(job)


def test_concurrent_users_of_one_salt_share_and_others_do_not(path, vocab):
    rng = random.Random(0)
    cases = [Case((*LONG, rng.randrange(20, 99)), n_predict=9, seed=i) for i in range(24)]
    wanted = alone(path, vocab, cases)
    with serving(path, vocab, 4) as (_, scheduler), ThreadPoolExecutor(8) as pool:
        requests = [case.request(vocab, salt=str(i % 3)) for i, case in enumerate(cases)]
        assert list(pool.map(lambda request: result(scheduler.submit(request)), requests)) == wanted
        assert len(scheduler.tree.roots) <= 3
