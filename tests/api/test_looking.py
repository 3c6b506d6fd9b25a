"""Looking into a `Llama`: where its time goes, and traces."""

from __future__ import annotations

import time
from threading import Thread

import numpy as np
import pytest

from llamakit.api.cache import LlamaRAMCache
from llamakit.api.llama import Llama
from llamakit.errors import UsageError
from tests.api.model import PROMPT, take

TEXT = {"max_tokens": 6, "temperature": 0.0, "logit_bias": {"2": -100}}


@pytest.fixture
def timed(path):
    with Llama(path, n_ctx=64, verbose=False, profile=True) as llm:
        yield llm


def n_runs(llm: Llama, tensor: str) -> int:
    return sum(op.n_runs for op in llm.profile.ops if tensor in op.weights)


def test_every_op_of_completions_and_single_steps_is_timed(timed, llm):
    timed("the cat", **TEXT)  # what is used first is not what is counted
    timed.profile.clear()
    began = time.perf_counter()
    text = timed("the cat", **TEXT)["choices"][0]["text"]
    assert n_runs(timed, "blk.1.ffn_down.weight") == 6  # the prompt's end, and five of six tokens
    timed.eval([71, 72])
    assert n_runs(timed, "blk.1.ffn_down.weight") == 7
    assert 0 < timed.profile.seconds < time.perf_counter() - began
    assert text == llm("the cat", **TEXT)["choices"][0]["text"]


def test_it_is_told_as_lines_a_table_and_a_page(timed, tmp_path):
    timed.eval(PROMPT)
    lines = {line.name: line for line in timed.profile.lines}
    down = next(line for name, line in lines.items() if name.endswith(": ffn_down"))
    assert down.n_calls == 2 and down.n_flops > 0
    assert all(name in str(timed.profile) for name in lines) and "of reading" in str(timed.profile)
    timed.profile.save(tmp_path / "profile.html", "<tiny>")
    page = (tmp_path / "profile.html").read_text()
    assert "&lt;tiny&gt;" in page and "<svg" in page and "layer 1" in page


def test_it_begins_anew(timed):
    timed.eval(PROMPT)
    timed.profile.clear()
    assert timed.profile.seconds == 0 and timed.profile.ops == []
    timed.eval([71])
    assert n_runs(timed, "output.weight") == 1


def test_another_thread_may_read_it_meanwhile(timed):
    seen: list[float] = []

    def read() -> None:
        while thread.is_alive():
            timed.profile.clear()
            seen.append(sum(op.seconds for op in timed.profile.ops))

    thread = Thread(target=lambda: [timed("the cat", **TEXT) for _ in range(20)])
    thread.start()
    read()
    assert seen and all(np.isfinite(seen))


def test_without_it_nothing_is_timed(llm):
    with pytest.raises(UsageError, match="profile=True"):
        _ = llm.profile


def test_a_closed_model_still_tells(path):
    with Llama(path, n_ctx=64, verbose=False, profile=True) as llm:
        llm.eval(PROMPT)
    assert llm.profile.seconds > 0 and n_runs(llm, "output.weight") == 1


# traces
def nothing(moment):
    return np.zeros_like(moment.rows)


SILENCE = {"blk.*.attn_output": nothing}


def following(llm: Llama, n: int = 4) -> list[int]:
    return take(llm.generate(PROMPT, temp=0), n)


@pytest.mark.parametrize("way", [following, lambda llm: llm(PROMPT, **TEXT), lambda llm: llm.eval(PROMPT)])
def test_what_hooks_have_changed_is_used_for_nothing_else(llm, path, way):
    with Llama(path, n_ctx=64, verbose=False) as plain:
        tokens, text = following(plain), plain(PROMPT, **TEXT)["choices"]
        plain.reset()
        plain.eval([*PROMPT, 7])
        scores = plain.scores[-1].copy()
    for compute in (following, lambda llm: llm(PROMPT, **TEXT)["choices"], None):
        with llm.trace(hooks=SILENCE):
            llm.reset()
            way(llm)
        if compute is not None:
            assert compute(llm) == (tokens if compute is following else text)
            continue
        llm.n_tokens = len(PROMPT)
        assert llm.input_ids[: llm.n_tokens].tolist() == PROMPT
        llm.eval([7])
        np.testing.assert_array_equal(llm.scores[-1], scores)


def test_scores_tell_what_hooks_have_led_to_and_a_saved_state_goes_on_without_them(llm, llm_all):
    for one in (llm, llm_all):
        one.eval(PROMPT)
        plain = one.scores.copy()
        with one.trace(hooks=SILENCE):
            changed = one.scores.copy()
        assert np.abs(changed[-1] - plain[-1]).max() > 1e-3
        np.testing.assert_array_equal(one.scores, changed)
        one.load_state(one.save_state())
        np.testing.assert_array_equal(one.scores, plain)
    with llm_all.trace(hooks=SILENCE):
        llm_all.reset()
        llm_all.eval(PROMPT)
    llm_all.eval([7])
    np.testing.assert_array_equal(llm_all.scores[: len(PROMPT)], plain)


def test_a_trace_sees_tokens_that_were_computed_before(llm):
    following(llm, 1)
    with llm.trace("blk.0.out") as trace:
        following(llm, 1)
    assert len(trace["blk.0.out"]) == len(PROMPT)
    llm(PROMPT, **TEXT)
    with llm.trace("blk.0.out", "blk.1.attn_weights") as trace:
        llm(PROMPT, **TEXT)
    n = len(PROMPT) + TEXT["max_tokens"] - 1
    assert trace.positions("blk.0.out").tolist() == list(range(n))  # no warming up is among them
    assert trace["blk.1.attn_weights"].shape[1:] == (n, n)


@pytest.mark.parametrize("hooks", [{}, SILENCE])
def test_a_trace_sees_tokens_whose_state_is_loaded_or_cached(llm, hooks):
    llm.set_cache(LlamaRAMCache())
    llm(PROMPT, **TEXT)
    llm.reset()
    llm.eval(PROMPT)
    state = llm.save_state()
    for begin in (lambda: llm.load_state(state), lambda: llm("the cat", **TEXT) and llm.load_state(state)):
        with llm.trace("blk.0.out", hooks=hooks) as trace:
            begin()
            trace.clear()
            llm.eval([7])
        assert len(trace["blk.0.out"]) == len(PROMPT) + 1
    with llm.trace("blk.0.out", hooks=hooks) as trace:
        llm(PROMPT, **TEXT)
    assert len(trace["blk.0.out"]) == len(PROMPT) + TEXT["max_tokens"] - 1


def test_a_cache_neither_gets_nor_gives_what_hooks_change(llm, path):
    llm.set_cache(LlamaRAMCache())
    with llm.trace(hooks=SILENCE):
        changed = llm(PROMPT, **TEXT)["choices"]
    assert llm.cache.cache_size == 0
    plain = llm(PROMPT, **TEXT)["choices"]
    assert plain != changed and llm.cache.cache_size > 0
    with Llama(path, n_ctx=64, verbose=False) as other:
        other.set_cache(llm.cache)
        with other.trace(hooks=SILENCE):
            assert other(PROMPT, **TEXT)["choices"] == changed
        assert other(PROMPT, **TEXT)["choices"] == plain


def test_a_stream_that_is_read_on_behind_a_trace_leaves_nothing_of_it(llm):
    plain = llm(PROMPT, **TEXT)["choices"]
    with llm.trace(hooks=SILENCE):
        stream = llm(PROMPT, stream=True, **TEXT)
        next(stream)
    assert list(stream)[-1]["choices"][0]["finish_reason"] == "length"
    assert llm(PROMPT, **TEXT)["choices"] == plain


def test_a_trace_within_another_is_refused_and_changes_nothing(llm):
    with llm.trace("blk.0.out") as trace:
        llm.eval(PROMPT)
        with pytest.raises(UsageError, match="one observer at a time"), llm.trace("blk.1.out", hooks=SILENCE):
            pass
        llm.eval([7])
    assert len(trace["blk.0.out"]) == len(PROMPT) + 1
