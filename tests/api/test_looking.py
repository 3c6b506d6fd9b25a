"""Looking into a `Llama`: where its time goes. Traces are in test_threads.py."""

from __future__ import annotations

import time
from threading import Thread

import numpy as np
import pytest

from llamakit.api.llama import Llama
from llamakit.errors import UsageError
from tests.api.model import PROMPT

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


def test_many_steps_of_a_sampler_leave_no_more_to_keep_than_few(timed):
    counts = []
    for _ in range(3):
        timed("the cat", **TEXT)
        counts.append(len(timed.profile._profile._runs))
    assert counts[1] == counts[2]


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
