"""llama-cpp-python's names and meaning: completions."""

from __future__ import annotations

import time

import numpy as np
import pytest

from llamakit.api.grammar import LlamaGrammar
from llamakit.api.llama import Llama
from llamakit.errors import UsageError
from tests.api.model import TEXTS


def test_a_completion_has_openais_shape(llm, path):
    answer = llm("the cat", max_tokens=8, temperature=0)
    assert set(answer) == {"id", "object", "created", "model", "choices", "usage"}
    assert answer["object"] == "text_completion" and answer["model"] == str(path)
    assert answer["id"].startswith("cmpl-") and abs(answer["created"] - time.time()) < 60
    assert set(answer["choices"][0]) == {"text", "index", "logprobs", "finish_reason"}
    n_prompt = len(llm.tokenize(b"the cat"))
    n = answer["usage"]["completion_tokens"]
    assert answer["usage"] == {"prompt_tokens": n_prompt, "completion_tokens": n, "total_tokens": n_prompt + n}


def forced(text):
    """A processor that makes the model say a text, then EOS."""
    tokens = [*(TEXTS.index(f"<0x{byte:02X}>") for byte in text.encode()), 2]
    begun = []

    def force(_, logits):
        begun.append(0)
        logits[:] = -np.inf
        logits[tokens[len(begun) - 1]] = 0
        return logits

    return [force]


@pytest.mark.parametrize(
    "options, text, reason, n_tokens",
    [
        ({}, "one two né", "stop", 11),
        ({"max_tokens": 3}, "one", "length", 3),
        ({"max_tokens": None}, "one two né", "stop", 11),
        ({"stop": "two"}, "one ", "stop", 7),
        ({"stop": ["zz", " t"]}, "one", "stop", 5),
        ({"stop": ["two!"]}, "one two né", "stop", 11),
        ({"stop": []}, "one two né", "stop", 11),
        ({"echo": True, "max_tokens": 3}, "the catone", "length", 3),
        ({"max_tokens": 10}, "one two n", "length", 10),  # half a character is no text
    ],
)
def test_how_completions_end(llm, options, text, reason, n_tokens):
    options = {"max_tokens": 40, **options}
    answer = llm("the cat", logits_processor=forced("one two né"), **options)
    assert answer["choices"][0]["text"] == text
    assert answer["choices"][0]["finish_reason"] == reason
    assert answer["usage"]["completion_tokens"] == n_tokens
    chunks = list(llm("the cat", logits_processor=forced("one two né"), stream=True, **options))
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == text
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1]["choices"][0] == {"text": "", "index": 0, "logprobs": None, "finish_reason": reason}
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_a_prompt_may_be_token_ids(llm):
    tokens = llm.tokenize(b"the cat")
    answer = llm.create_completion(tokens, max_tokens=4, temperature=0, echo=True)
    assert answer["choices"][0]["text"] == llm("the cat", max_tokens=4, temperature=0, echo=True)["choices"][0]["text"]


def test_a_grammar_is_obeyed(llm):
    grammar = LlamaGrammar.from_regex("[ab]{3}")
    for choose in (lambda: llm("the", max_tokens=20, grammar=grammar), lambda: llm("a", max_tokens=9, grammar=grammar)):
        choice = choose()["choices"][0]
        assert grammar.matches(choice["text"]) and choice["finish_reason"] == "stop"


def test_biases_ban_and_favour_tokens(llm):
    bias = {TEXTS.index("<0x41>"): 1000.0}
    assert llm("the", max_tokens=3, logit_bias=bias)["choices"][0]["text"] == "AAA"


def test_completions_of_a_seed_can_be_told_again(path):
    def texts():
        with Llama(path, n_ctx=64, seed=5, verbose=False) as llm:
            return [llm("the cat", max_tokens=9, temperature=3.0)["choices"][0]["text"] for _ in range(2)]

    first, second = texts()
    assert first != second
    assert texts() == [first, second]


def test_a_completion_fills_the_context_and_no_more(llm):
    answer = llm("the cat", max_tokens=0, logits_processor=forced("x" * 200))
    assert answer["usage"]["total_tokens"] == 64


@pytest.mark.parametrize(
    "prompt, words", [([], "empty"), ([5] * 64, r"Requested tokens \(64\) exceed context window of 64")]
)
def test_prompts_that_do_not_fit_are_refused(llm, prompt, words):
    with pytest.raises(UsageError, match=words):
        llm.create_completion(prompt)


def test_unknown_options_of_a_completion_are_type_errors(llm):
    with pytest.raises(TypeError, match="best_of"):
        llm("the", best_of=3)
