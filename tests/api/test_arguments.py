"""Arguments of the wrong kind are named."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.api.arguments import biases, functions, texts, token_ids, whole_number
from llamakit.api.grammar import LlamaGrammar
from llamakit.api.llama import Llama
from llamakit.errors import LlamakitError, UsageError
from tests.api.model import PROMPT

MESSAGES = [{"role": "user", "content": "the cat?"}]
PICTURE = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "data:"}}]


@pytest.fixture(scope="module")
def chatter(path):
    with Llama(path, n_ctx=256, chat_format="chatml", verbose=False) as llm:
        yield llm


def test_what_is_meant_is_taken():
    assert whole_number("n", np.int32(3)) == 3 == whole_number("n", 3, least=3)
    assert token_ids("prompt", np.array([1, 2])) == [1, 2] == token_ids("prompt", (1, np.int64(2)))
    assert texts("stop", None) == () and texts("stop", "a") == ("a",) and texts("stop", ["a", "b"]) == ("a", "b")
    assert functions("f", None) == () and functions("f", (print,)) == (print,)
    assert biases({"5": 1, 6: np.float32(2)}) == {5: 1.0, 6: 2.0} and biases(None) == {}


SHARED = [
    ({"max_tokens": 2.5}, "max_tokens is 2.5"),
    ({"max_tokens": "5"}, "max_tokens is '5'"),
    ({"grammar": 'root ::= "a"'}, "grammar is .*LlamaGrammar.from_string"),
    ({"logits_processor": lambda _, logits: logits}, "logits_processor is .*list of functions"),
    ({"logits_processor": [5]}, r"logits_processor\[0\] is 5"),
    ({"stop": [5]}, r"stop\[0\] is 5"),
    ({"stop": 5}, "stop is 5"),
    ({"logit_bias": [1]}, "logit_bias"),
    ({"logit_bias": {"a": 1}}, "logit_bias"),
]


@pytest.mark.parametrize(
    "options, words",
    [
        *SHARED,
        ({"logprobs": 2.5}, "logprobs is 2.5"),
        ({"logprobs": -1}, "logprobs is -1; it must be at least 0"),
        ({"stopping_criteria": [print]}, "stopping_criteria"),
        ({"prompt": ["a", "b"]}, r"prompt\[0\] is 'a'"),
        ({"prompt": [1, 2.0]}, r"prompt\[1\] is 2.0"),
        ({"prompt": b"Hello"}, "prompt is b'Hello'"),
        ({"prompt": None}, "prompt is None"),
        ({"suffix": 5}, "suffix is 5"),
    ],
)
def test_a_completion_names_what_is_wrong(chatter, options, words):
    with pytest.raises(UsageError, match=words):
        chatter.create_completion(**{"prompt": "the cat", **options})


@pytest.mark.parametrize(
    "options, words",
    [
        *SHARED,
        ({"top_logprobs": 2.5}, "top_logprobs is 2.5"),
        ({"top_logprobs": -1}, "top_logprobs is -1"),
        ({"response_format": "json"}, "response_format is 'json'"),
        ({"response_format": {"typ": "json_object"}}, "response_format.type: is missing"),
        ({"messages": 5}, "messages is 5"),
        ({"tools": 5}, "tools is 5"),
        ({"functions": "f"}, "functions is 'f'"),
        ({"messages": [{"role": "user", "content": PICTURE}]}, r"messages\[0\].content\[1\]: image input"),
    ],
)
def test_a_chat_names_what_is_wrong(chatter, options, words):
    with pytest.raises(LlamakitError, match=words):
        chatter.create_chat_completion(**{"messages": MESSAGES, **options})


@pytest.mark.parametrize("name", ["max_token", "foo", "n", "add_generation_prompt"])
def test_a_name_that_nobody_knows_is_a_type_error(chatter, name):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        chatter.create_chat_completion(MESSAGES, **{name: 2})


def test_what_the_template_reads_may_be_said(path):
    template = "{{ strictness }}{% for m in messages %}{{ m.content }}{% endfor %}"
    with Llama(path, n_ctx=256, chat_format=template, verbose=False) as llm:
        answer = llm.create_chat_completion(MESSAGES, strictness="very ", enable_thinking=False, max_tokens=1)
        assert answer["usage"]["prompt_tokens"] == len(llm.tokenize(b"very the cat?"))


def test_generation_names_a_grammar_that_is_none(llm):
    with pytest.raises(UsageError, match=r"LlamaGrammar\.from_string"):
        next(llm.generate(PROMPT, grammar="root ::= [a-z]"))
    grammar = LlamaGrammar.from_string("root ::= [a-z]")
    assert llm.detokenize([next(llm.generate(PROMPT, grammar=grammar))]).isalpha()


@pytest.mark.parametrize("made, words", [(None, "None"), (np.zeros(5), r"an array of shape \(5,\)")])
def test_a_processor_that_gives_no_logits_is_told_of(llm, made, words):
    with pytest.raises(UsageError, match=f"logits_processor: one returned {words}"):
        llm("the cat", max_tokens=2, logits_processor=[lambda ids, logits: made])
    with pytest.raises(UsageError, match=f"logits_processor: one returned {words}"):
        next(llm.generate(PROMPT, logits_processor=[lambda ids, logits: made]))


@pytest.mark.parametrize("made, words", [(np.zeros((7, 3)), r"an array of shape \(7, 3\)"), ("a", "'a'")])
def test_a_hook_that_gives_no_rows_is_told_of(llm, made, words):
    with pytest.raises(UsageError, match=f"the hook of blk.0.attn_output returned {words}"):
        with llm.trace(hooks={"blk.0.attn_out": lambda moment: made}):
            llm.eval(PROMPT)


@pytest.mark.parametrize("states", [[1, 2], "a", None])
def test_a_lens_looks_at_states_alone(llm, states):
    with pytest.raises(UsageError, match="states"):
        llm.logit_lens(states)


@pytest.mark.parametrize("texts, words", [(b"x", "input is b'x'"), (5, "input is 5"), ([5], r"input\[0\] is 5")])
def test_a_vector_is_of_a_text(path, texts, words):
    with Llama(path, n_ctx=64, embedding=True, verbose=False) as llm:
        with pytest.raises(UsageError, match=words):
            llm.embed(texts)


def test_only_states_are_gone_on_from(llm):
    with pytest.raises(UsageError, match="state is None"):
        llm.load_state(None)
