"""llama-cpp-python's names and meaning: chats."""

from __future__ import annotations

import json

import numpy as np
import pytest

from llamakit.api.chat_formats import register_chat_completion_handler, unregister_chat_handler
from llamakit.api.grammar import LlamaGrammar
from llamakit.api.llama import Llama
from llamakit.errors import LlamakitError, UsageError
from tests.api.test_completion import forced

MESSAGES = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "the cat?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather somewhere.",
        "parameters": {
            "type": "object",
            "properties": {"place": {"enum": ["Oslo", "Rome"]}},
            "required": ["place"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def chatter(path):
    with Llama(path, n_ctx=1024, chat_format="chatml", verbose=False) as llm:
        yield llm


def test_a_chat_has_openais_shape(chatter):
    answer = chatter.create_chat_completion(MESSAGES, max_tokens=40, logits_processor=forced("yes, it is"))
    assert answer["object"] == "chat.completion" and answer["id"].startswith("chatcmpl-")
    (choice,) = answer["choices"]
    assert choice["message"] == {"role": "assistant", "content": "yes, it is"}
    assert choice["finish_reason"] == "stop" and choice["logprobs"] is None
    assert answer["usage"]["completion_tokens"] == 10


def test_chunks_join_to_the_message(chatter):
    chunks = list(
        chatter.create_chat_completion(MESSAGES, max_tokens=40, stream=True, logits_processor=forced("yes, it is né"))
    )
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant"}
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "yes, it is né"
    assert chunks[-1]["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}


def test_the_template_is_the_one_that_was_chosen(path):
    for name, end in (("chatml", "<|im_start|>assistant\n"), ("alpaca", "### Response:"), ("llama-3", "\n\n")):
        with Llama(path, n_ctx=1024, chat_format=name, verbose=False) as llm:
            seen = []
            llm.create_chat_completion(
                MESSAGES, max_tokens=1, logits_processor=[lambda ids, logits, seen=seen: (seen.append(ids), logits)[1]]
            )
            assert llm.detokenize(seen[0].tolist()).decode().endswith(end)
    with Llama(path, chat_format="nosuchformat", verbose=False) as llm:
        with pytest.raises(LlamakitError, match="nosuchformat"):
            llm.create_chat_completion(MESSAGES)


@pytest.mark.parametrize(
    "response_format",
    [
        {"type": "json_object", "schema": WEATHER["function"]["parameters"]},
        {"type": "json_schema", "json_schema": {"name": "w", "schema": WEATHER["function"]["parameters"]}},
    ],
)
def test_an_answer_has_the_form_that_was_asked_for(chatter, response_format):
    answer = chatter.create_chat_completion(MESSAGES, response_format=response_format, max_tokens=200, temperature=0)
    said = json.loads(answer["choices"][0]["message"]["content"])
    assert said["place"] in ("Oslo", "Rome") and said.keys() <= WEATHER["function"]["parameters"]["properties"].keys()


def test_a_grammar_is_obeyed(chatter):
    grammar = LlamaGrammar.from_regex("[ab]{3}")
    answer = chatter.create_chat_completion(MESSAGES, grammar=grammar)
    assert grammar.matches(answer["choices"][0]["message"]["content"])


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_that_must_be_called_is(chatter, stream):
    options = {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "weather"}}}
    answer = chatter.create_chat_completion(MESSAGES, **options, max_tokens=400, temperature=0, stream=stream)
    if stream:
        chunks = list(answer)
        calls = [call for c in chunks for call in c["choices"][0]["delta"].get("tool_calls", [])]
        name, arguments = calls[0]["function"]["name"], "".join(call["function"]["arguments"] for call in calls)
        reason = chunks[-1]["choices"][0]["finish_reason"]
    else:
        (call,) = answer["choices"][0]["message"]["tool_calls"]
        name, arguments, reason = *call["function"].values(), answer["choices"][0]["finish_reason"]
    assert (name, reason) == ("weather", "tool_calls")
    assert json.loads(arguments)["place"] in ("Oslo", "Rome")


def test_functions_are_the_older_spelling(chatter):
    answer = chatter.create_chat_completion(
        MESSAGES, functions=[WEATHER["function"]], function_call={"name": "weather"}, max_tokens=400, temperature=0
    )
    message = answer["choices"][0]["message"]
    assert message["function_call"]["name"] == "weather" and "tool_calls" not in message
    assert answer["choices"][0]["finish_reason"] == "function_call"


def test_log_probabilities_come_with_each_token(chatter):
    answer = chatter.create_chat_completion(MESSAGES, max_tokens=5, temperature=0, logprobs=True, top_logprobs=2)
    content = answer["choices"][0]["logprobs"]["content"]
    assert len(content) == answer["usage"]["completion_tokens"]
    for token in content:
        assert token["logprob"] == max(top["logprob"] for top in token["top_logprobs"]) <= 0
        assert bytes(token["bytes"]).decode("utf-8", "replace") == token["token"]


def test_openais_own_objects_come_out(chatter):
    pytest.importorskip("openai")
    answer = chatter.create_chat_completion_openai_v1(MESSAGES, max_tokens=3)
    assert answer.choices[0].message.role == "assistant" and answer.usage.completion_tokens <= 3
    chunks = list(chatter.create_chat_completion_openai_v1(MESSAGES, max_tokens=3, stream=True))
    assert chunks[-1].choices[0].finish_reason in ("stop", "length")


def test_a_handler_of_the_users_own_is_asked(path):
    @register_chat_completion_handler("parrot")
    def parrot(*, llama, messages, temperature, **options):
        return {"said": messages[-1]["content"], "temperature": temperature}

    try:
        with pytest.raises(UsageError, match="parrot"):
            register_chat_completion_handler("parrot")(parrot)
        with Llama(path, chat_format="parrot", verbose=False) as llm:
            assert llm.create_chat_completion(MESSAGES, temperature=0.5) == {"said": "the cat?", "temperature": 0.5}
    finally:
        unregister_chat_handler("parrot")


@pytest.mark.parametrize(
    "options, words",
    [
        ({"messages": [{"role": "user"}]}, "content"),
        ({"messages": []}, "messages"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"tools": [{"type": "function"}]}, r"tools\[0\]"),
        ({"tools": [WEATHER], "tool_choice": {"function": {"name": "x"}}}, "tool_choice"),
        ({"messages": [{"role": "user", "content": "cat " * 2000}]}, "exceed context window"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(chatter, options, words):
    with pytest.raises(LlamakitError, match=words):
        chatter.create_chat_completion(**{"messages": MESSAGES, **options})


def test_completions_tell_log_probabilities_in_the_older_shape(chatter):
    answer = chatter("the cat", max_tokens=4, temperature=0, logprobs=2, echo=True)
    scores = answer["choices"][0]["logprobs"]
    n = len(scores["tokens"])
    assert n == answer["usage"]["total_tokens"] - 1  # without BOS
    assert scores["token_logprobs"][0] is None and scores["top_logprobs"][0] is None
    assert "".join(scores["tokens"]).strip() == answer["choices"][0]["text"].strip()
    assert scores["text_offset"][0] == 0 and sorted(scores["text_offset"]) == scores["text_offset"]
    drawn = scores["token_logprobs"][-4:]
    assert np.allclose(drawn, [max(top.values()) for top in scores["top_logprobs"][-4:]])
