"""One `Llama` used from many threads, and both ways at once."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from llamakit.api.completion import Wanted
from llamakit.api.llama import Llama
from llamakit.core.engine.scheduler.scheduler import Scheduler
from llamakit.core.sampling.params import SamplingParams
from llamakit.errors import UsageError
from tests.api.model import PROMPT, take

PROMPTS = [f"the cat {i}" for i in range(24)]


def said(llm, prompt):
    return llm(prompt, max_tokens=10, seed=7, temperature=1.0)["choices"][0]["text"]


def test_64_threads_get_what_each_gets_alone(path):
    with Llama(path, n_ctx=256, verbose=False) as llm:
        alone = [said(llm, prompt) for prompt in PROMPTS]
        assert len(set(alone)) > 10
        with ThreadPoolExecutor(64) as pool:
            together = list(pool.map(lambda prompt: said(llm, prompt), PROMPTS * 4))
        assert together == alone * 4


def test_processors_and_criteria_of_many_threads_are_asked(path):
    n_asked = []

    def only_token_9(ids, logits):
        logits[np.arange(len(logits)) != 9] = -np.inf
        return logits

    def after_five(ids, logits):
        n_asked.append(len(ids))
        return len(ids) >= len(PROMPT) + 5

    def drawn(i):
        answer = llm(PROMPT, max_tokens=8, logprobs=0, logits_processor=[only_token_9], stopping_criteria=after_five)
        return answer["choices"][0]["logprobs"]["tokens"]

    with Llama(path, n_ctx=256, logits_all=True, verbose=False) as llm:
        alone = drawn(0)
        assert len(alone) == 5 and len(set(alone)) == 1
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(drawn, range(16))) == [alone] * 16
    assert len(n_asked) == 17 * 6


def test_a_sequence_stays_as_it_is_when_other_threads_complete(path):
    with Llama(path, n_ctx=128, verbose=False) as llm, ThreadPoolExecutor(1) as pool:
        llm.eval(PROMPT)
        scores = llm.scores[-1].copy()
        text = pool.submit(said, llm, "the cat").result()
        assert llm.n_tokens == len(PROMPT)
        llm.eval([7])
        with Llama(path, n_ctx=128, verbose=False) as other:
            other.eval(PROMPT)
            np.testing.assert_array_equal(other.scores[-1], scores)
            other.eval([7])
            np.testing.assert_array_equal(other.scores[-1], llm.scores[-1])
            assert said(other, "the cat") == text


@pytest.mark.parametrize("logits_all", [False, True])
def test_a_completion_leaves_its_tokens_as_the_sequence(path, logits_all):
    with Llama(path, n_ctx=128, logits_all=logits_all, verbose=False) as llm:
        llm.eval([9, 11])
        seen = []
        llm(
            PROMPT, max_tokens=6, temperature=0, logits_processor=[lambda ids, logits: (seen.append([*ids]), logits)[1]]
        )
        assert llm.n_tokens == len(PROMPT) + 5 and llm.input_ids[: llm.n_tokens].tolist() == seen[-1]
        with Llama(path, n_ctx=128, logits_all=logits_all, verbose=False) as other:
            other.eval(seen[-1])
            np.testing.assert_array_equal(llm.scores, other.scores)
            assert llm.sample(temp=0) == other.sample(temp=0)
            llm.eval([7])
            other.eval([7])
            np.testing.assert_array_equal(llm.scores, other.scores)
        assert llm.n_tokens == len(seen[-1]) + 1


def test_the_token_that_a_text_ends_with_was_not_evaluated_and_before_an_end_all_were(path):
    end, letter = 2, 100

    def then(token):
        def force(ids, logits):
            logits[letter if len(ids) < len(PROMPT) + 3 else token] = 1e6
            return logits

        return force

    with Llama(path, n_ctx=128, verbose=False) as llm:
        llm(PROMPT, max_tokens=9, logits_processor=[then(end)])
        assert llm.input_ids[: llm.n_tokens].tolist() == [*PROMPT, letter, letter, letter]
        stop = llm.detokenize([letter]).decode() * 3
        assert llm(PROMPT, max_tokens=9, stop=[stop], logits_processor=[then(end)])["choices"][0]["text"] == ""
        assert llm.input_ids[: llm.n_tokens].tolist() == [*PROMPT, letter, letter]


def test_what_one_way_has_computed_the_other_goes_on_with(path):
    prompt = [1, *range(5, 105)]
    with Llama(path, n_ctx=256, verbose=False) as llm:
        llm.eval(prompt)
        sayer = llm.say(Wanted(tuple(prompt), llm.sampling_params(SamplingParams(temperature=0)), n_predict=4))
        list(sayer.parts())
        assert sayer.job.usage.n_cached >= len(prompt) - 1
        with llm.alone() as context:
            assert context.n_past() == llm.n_tokens == len(prompt) + 3


def test_token_by_token_waits_for_completions_of_other_threads(path):
    with Llama(path, n_ctx=256, verbose=False) as llm:
        alone = [said(llm, prompt) for prompt in PROMPTS[:8]]
        with ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(said, llm, prompt) for prompt in PROMPTS[:8]]
            for _ in range(5):
                llm.reset()
                llm.eval(PROMPT)
            assert [future.result() for future in futures] == alone


def generated(llm, i, n=5):
    return take(llm.generate([*PROMPT, 80 + i], temp=0), n)


def test_a_sequence_is_one_threads_at_a_time(path):
    """Others are told so, but for completions, and may go on with it when the first one is done."""
    with Llama(path, n_ctx=128, verbose=False) as llm, ThreadPoolExecutor(1) as pool:
        text, tokens = said(llm, "the cat"), generated(llm, 0)
        generator = llm.generate([*PROMPT, 80], temp=0)
        begun = take(generator, 2)
        changes = [
            lambda: llm.eval([7]),
            lambda: generated(llm, 1),
            llm.sample,
            llm.reset,
            lambda: llm.load_state(state),
            lambda: setattr(llm, "n_tokens", 1),
        ]
        state = llm.save_state()
        for change in changes:
            with pytest.raises(UsageError, match="another thread"):
                pool.submit(change).result()
        assert pool.submit(said, llm, "the cat").result() == text
        assert begun + pool.submit(take, generator, 3).result() == tokens  # a generator may be handed on
        del generator
        llm.reset()
        llm.eval(PROMPT)
        pool.submit(llm.eval, [80]).result()
        llm_token = pool.submit(llm.sample, temp=0).result()
        assert llm_token == tokens[0] and llm.n_tokens == len(PROMPT) + 1


def test_threads_that_generate_at_once_get_their_own_or_an_error(path):
    def attempt(i):
        barrier.wait()
        try:
            return generated(llm, i, 20)
        except UsageError:
            return None

    barrier = threading.Barrier(4)
    with Llama(path, n_ctx=128, verbose=False) as llm, ThreadPoolExecutor(4) as pool:
        alone = [generated(llm, i, 20) for i in range(4)]
        got = list(pool.map(attempt, range(4)))
        assert any(got) and all(tokens in (None, alone[i]) for i, tokens in enumerate(got))
        assert generated(llm, 0, 20) == alone[0]


def test_both_ways_in_turn_leave_the_cache_to_each_other(path):
    with Llama(path, n_ctx=64, verbose=False) as llm:
        for i in range(40):
            assert said(llm, PROMPTS[i % len(PROMPTS)])
            llm.reset()
            llm.eval(PROMPT)
            with llm.alone() as context:
                assert context.cache.pool.n_free == context.cache.pool.n_blocks - 1


def test_a_scheduler_that_has_died_is_followed_by_another(path, monkeypatch):
    def die(scheduler):
        raise MemoryError("no room")

    with Llama(path, n_ctx=64, verbose=False) as llm:
        text = said(llm, "the cat")
        with monkeypatch.context() as patch:
            patch.setattr(Scheduler, "_admit", die)
            with pytest.raises(MemoryError):
                said(llm, "the cat")
        assert said(llm, "the cat") == text


def test_a_stream_that_is_dropped_ends_its_job(path):
    with Llama(path, n_ctx=256, verbose=False) as llm:
        stream = llm("the cat", max_tokens=200, stream=True, temperature=0)
        next(stream)
        stream.close()
        with llm.alone() as context:
            assert context.n_past() == 0


@pytest.mark.parametrize("goes_on", [lambda llm: llm.scores[-1].tolist(), lambda llm: said(llm, list(llm.eval_tokens))])
def test_a_stream_that_ends_when_something_else_is_in_the_cache(path, goes_on):
    with Llama(path, n_ctx=256, verbose=False) as llm, Llama(path, n_ctx=256, verbose=False) as other:
        stream = llm("the cat", max_tokens=20, stream=True, temperature=0)
        next(stream)
        llm.reset()
        llm.eval(PROMPT)
        list(stream)
        assert llm.n_tokens > 20
        other.eval(list(llm.eval_tokens))
        assert goes_on(llm) == goes_on(other)


def test_a_stream_that_nobody_reads_on_does_not_hold_up_others(path):
    with Llama(path, n_ctx=256, verbose=False) as llm:
        stream = llm("the cat", max_tokens=50, stream=True, temperature=0)
        next(stream)
        llm.eval(PROMPT)
        assert "".join(chunk["choices"][0]["text"] for chunk in stream)


def test_closing_ends_what_runs(path):
    llm = Llama(path, n_ctx=256, verbose=False)
    failures = []

    def say():
        try:
            while True:
                said(llm, "the cat")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=say) for _ in range(4)]
    for thread in threads:
        thread.start()
    llm.close()
    for thread in threads:
        thread.join(60)
    assert len(failures) == 4
    with pytest.raises(UsageError, match="closed"):
        llm("the cat")


# states
@pytest.mark.parametrize("logits_all", [False, True])
def test_a_saved_state_goes_on_with_the_same_bits(path, logits_all):
    with Llama(path, n_ctx=64, logits_all=logits_all, verbose=False) as llm:
        llm.eval(PROMPT)
        state = pickle.loads(pickle.dumps(llm.save_state()))
        llm.eval([9, 11])
        scores = llm.scores.copy()
        llm.reset()
        llm.eval([30, 31, 32])
        llm.load_state(state)
        assert llm.n_tokens == len(PROMPT) and llm.input_ids[: len(PROMPT)].tolist() == PROMPT
        llm.eval([9, 11])
        np.testing.assert_array_equal(llm.scores[-1], scores[-1])
        with Llama(path, n_ctx=64, logits_all=logits_all, verbose=False) as other:
            other.load_state(state)
            assert other.sample(temp=0) == int(np.argmax(state.scores[-1]))
            other.eval([9, 11])
            np.testing.assert_array_equal(other.scores[-1], scores[-1])


def test_a_model_pickles_as_what_opens_it(path):
    with Llama(path, n_ctx=64, seed=3, verbose=False) as llm:
        text = said(llm, "the cat")
        data = pickle.dumps(llm)
    with pickle.loads(data) as other:
        assert other.n_ctx() == 64 and said(other, "the cat") == text


# looking inside
def test_a_trace_records_the_sequence_of_its_thread(path):
    with Llama(path, n_ctx=64, verbose=False) as llm:
        with llm.trace("blk.*.out", "output") as trace:
            llm.eval(PROMPT)
        assert trace["blk.1.out"].shape == (len(PROMPT), 64)
        np.testing.assert_array_equal(trace["output"][-1], llm.scores[-1])
        lens = llm.logit_lens(trace["blk.1.out"])
        np.testing.assert_allclose(lens[-1], llm.scores[-1], rtol=1e-3, atol=1e-4)
        assert said(llm, "the cat")
