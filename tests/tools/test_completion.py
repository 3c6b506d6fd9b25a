"""A prompt is completed by llama.cpp's rules for length, context shift and stopping."""

from __future__ import annotations

import re

import pytest

from llamakit.tools.completion import (
    Clock,
    Completion,
    CompletionParams,
    Finish,
    PromptError,
    Timings,
    context_length,
    timing_lines,
)
from tests.fake_engine import BOS, EOS, ByteVocab, FakeContext, GreedySampler

HELLO = list(b"hello")
ENDLESS = list(b"abcdefghij" * 20)


def complete(
    script: list[int], params: CompletionParams, prompt: str = "say:", n_ctx: int = 64, add_bos: bool = True
) -> tuple[str, Completion]:
    completion = Completion(FakeContext(script, n_ctx), ByteVocab(add_bos), GreedySampler(), params)
    return "".join(completion.run(completion.encode(prompt))), completion


def test_the_text_ends_where_the_model_ends_it() -> None:
    text, completion = complete(HELLO, CompletionParams())
    assert text == "hello"
    assert completion.finish is Finish.END_OF_TEXT


def test_the_last_token_is_drawn_but_never_computed() -> None:
    text, completion = complete(HELLO, CompletionParams(n_predict=3))
    assert text == "hel"
    assert completion.finish is Finish.LENGTH
    assert [call for call, *_ in completion.context.calls] == ["prefill", "step", "step"]
    assert (completion.timings.prefill.n_tokens, completion.timings.step.n_tokens) == (5, 2)
    assert completion.timings.sample.n_tokens == 3


def test_no_tokens_wanted_computes_the_prompt_only() -> None:
    text, completion = complete(HELLO, CompletionParams(n_predict=0))
    assert text == ""
    assert [call for call, *_ in completion.context.calls] == ["prefill"]


def test_the_sampler_hears_of_prompt_and_tokens() -> None:
    _, completion = complete(HELLO, CompletionParams(), prompt="p")
    assert completion.sampler.prompt == [BOS, ord("p")]
    assert completion.sampler.accepted == [*HELLO, EOS]


def test_characters_of_several_tokens_come_whole() -> None:
    completion = Completion(FakeContext(list("né".encode())), ByteVocab(), GreedySampler(), CompletionParams())
    assert list(completion.run([1])) == ["n", "", "é", ""]


def test_a_character_cut_at_the_end_shows_as_a_mark() -> None:
    text, _ = complete(list("é".encode())[:1], CompletionParams())
    assert text == "\N{REPLACEMENT CHARACTER}"


def test_special_tokens_show_only_when_asked_for() -> None:
    assert complete(HELLO, CompletionParams(show_special=True))[0] == "hello</s>"


@pytest.mark.parametrize("stop, text", [("ll", "hell"), ("hello", "hello"), ("x", "hello"), ("o", "hello")])
def test_a_stop_text_ends_the_text_behind_itself(stop: str, text: str) -> None:
    got, completion = complete(HELLO, CompletionParams(stop=("zz", stop)))
    assert got == text
    assert completion.finish is (Finish.END_OF_TEXT if stop == "x" else Finish.STOP_TEXT)


@pytest.mark.parametrize("n_predict", [-1, -2])
def test_a_full_context_stops_without_shift(n_predict: int) -> None:
    text, completion = complete(ENDLESS, CompletionParams(n_predict=n_predict), n_ctx=16)
    assert completion.finish is Finish.CONTEXT_FULL
    assert completion.context.n_past() == 15
    assert text == "abcdefghijk"[:10] + "a"


def test_a_full_context_shifts_when_asked_to() -> None:
    text, completion = complete(ENDLESS, CompletionParams(n_predict=40, context_shift=True), n_ctx=16)
    assert text == ("abcdefghij" * 4)
    shifts = [call for call in completion.context.calls if call[0] == "shift"]
    assert shifts[0] == ("shift", 1, (15 - 1) // 2)  # keeps BOS alone


def test_until_the_context_is_full_means_no_shift() -> None:
    _, completion = complete(ENDLESS, CompletionParams(n_predict=-2, context_shift=True), n_ctx=16)
    assert completion.finish is Finish.CONTEXT_FULL


@pytest.mark.parametrize(
    "wanted, add_bos, kept", [(0, True, 1), (0, False, 0), (2, True, 3), (-1, True, 5), (9, True, 5)]
)
def test_what_a_shift_keeps(wanted: int, add_bos: bool, kept: int) -> None:
    completion = Completion(FakeContext(), ByteVocab(add_bos), GreedySampler(), CompletionParams(n_keep=wanted))
    assert completion.n_keep(n_prompt=5) == kept


def test_an_empty_prompt_is_bos_alone_or_an_error() -> None:
    assert complete(HELLO, CompletionParams(), prompt="")[0] == "hello"
    with pytest.raises(PromptError, match="input is empty"):
        complete(HELLO, CompletionParams(), prompt="", add_bos=False)


def test_a_prompt_that_does_not_fit_is_an_error_with_both_numbers() -> None:
    complete(HELLO, CompletionParams(n_predict=1), prompt="x" * 11, n_ctx=16)
    with pytest.raises(PromptError, match=re.escape("prompt is too long (13 tokens, max 12)")) as error:
        complete(HELLO, CompletionParams(), prompt="x" * 12, n_ctx=16)
    assert error.value.exit_code == 1


def test_closing_the_iterator_cancels() -> None:
    context = FakeContext(ENDLESS)
    pieces = Completion(context, ByteVocab(), GreedySampler(), CompletionParams()).run([1])
    next(pieces)
    pieces.close()
    assert [call for call, *_ in context.calls] == ["prefill"]


@pytest.mark.parametrize(
    "wanted, trained, n_ctx", [(None, 8192, 4096), (None, 512, 512), (0, 8192, 8192), (100000, 8192, 100000)]
)
def test_the_context_is_4096_unless_asked_otherwise(wanted: int | None, trained: int, n_ctx: int) -> None:
    assert context_length(wanted, trained) == n_ctx


def test_timings_look_like_llama_cpps() -> None:
    timings = Timings(load=0.5, prefill=Clock(0.25, 100), step=Clock(1.0, 50), sample=Clock(0.01, 51))
    lines = timing_lines(timings)
    assert lines[:4] == [
        "common_perf_print:    sampling time =      10.00 ms /    51 tokens",
        "common_perf_print:        load time =     500.00 ms",
        "common_perf_print: prompt eval time =     250.00 ms /   100 tokens "
        "(    2.50 ms per token,   400.00 tokens per second)",
        "common_perf_print:        eval time =    1000.00 ms /    50 runs   "
        "(   20.00 ms per token,    50.00 tokens per second)",
    ]
    assert re.fullmatch(r"common_perf_print:       total time = +[\d.]+ ms /   150 tokens", lines[4])


def test_timings_of_nothing_divide_by_nothing() -> None:
    assert "0.00 tokens per second" in timing_lines(Timings())[2]
