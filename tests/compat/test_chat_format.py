"""Chat handlers made from formatters: forms of answers, tools, log-probabilities, chunks; templates as formatters."""

from __future__ import annotations

import json

import pytest

import llamakit.compat  # noqa: F401
from llamakit.errors import LlamakitError, UsageError
from tests.api.model import TEXTS, TINY
from tests.api.test_chat import WEATHER
from tests.api.test_completion import forced
from tests.tiny import write_tiny

import llama_cpp  # isort: skip
from llama_cpp.llama_chat_format import (  # isort: skip
    ChatFormatterResponse,
    Jinja2ChatFormatter,
    chat_formatter_to_chat_completion_handler,
)

MESSAGES = [{"role": "user", "content": "the cat?"}]
PARAMETERS = WEATHER["function"]["parameters"]
CALLED = {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "weather"}}}
CALLED_AS_BEFORE = {"functions": [WEATHER["function"]], "function_call": {"name": "weather"}}


def plain(messages, **_):
    return ChatFormatterResponse(prompt=messages[-1]["content"], stop="!")


@pytest.fixture(scope="module")
def llm(tmp_path_factory):
    path = str(write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", TINY))
    handler = chat_formatter_to_chat_completion_handler(chat_formatter=plain)
    with llama_cpp.Llama(model_path=path, n_ctx=1024, chat_handler=handler, verbose=False) as llm:
        yield llm


def deltas(chunks):
    return [chunk["choices"][0]["delta"] for chunk in chunks]


@pytest.mark.parametrize(
    "response_format",
    [
        {"type": "json_object", "schema": PARAMETERS},
        {"type": "json_schema", "json_schema": {"name": "w", "schema": PARAMETERS}},
    ],
)
def test_an_answer_has_the_form_that_was_asked_for(llm, response_format):
    answer = llm.create_chat_completion(MESSAGES, response_format=response_format, max_tokens=200, temperature=0)
    assert json.loads(answer["choices"][0]["message"]["content"])["place"] in ("Oslo", "Rome")


def test_an_answer_may_be_any_object(llm):
    tempting = [lambda _, logits: (logits.__setitem__(TEXTS.index("<0x5B>"), 9), logits)[1]]  # [
    options = {"max_tokens": 3, "temperature": 0, "logits_processor": tempting}
    free = llm.create_chat_completion(MESSAGES, **options)
    held = llm.create_chat_completion(MESSAGES, response_format={"type": "json_object"}, **options)
    assert free["choices"][0]["message"]["content"].startswith("[")
    assert held["choices"][0]["message"]["content"].lstrip().startswith("{")


@pytest.mark.parametrize("options", [CALLED, CALLED_AS_BEFORE])
def test_a_tool_that_must_be_called_is(llm, options):
    answer = llm.create_chat_completion(MESSAGES, **options, max_tokens=400, temperature=0)
    (choice,) = answer["choices"]
    (call,) = choice["message"]["tool_calls"]
    assert choice["finish_reason"] == "tool_calls" and choice["message"]["content"] is None
    assert call["function"] == choice["message"]["function_call"] and call["type"] == "function"
    assert call["function"]["name"] == "weather" and answer["id"].removeprefix("chat") in call["id"]
    assert json.loads(call["function"]["arguments"])["place"] in ("Oslo", "Rome")


def test_calls_are_streamed(llm):
    chunks = list(llm.create_chat_completion(MESSAGES, **CALLED, max_tokens=400, temperature=0, stream=True))
    first, *said, last = deltas(chunks)
    assert (first, last) == ({"role": "assistant"}, {}) and chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    calls = [delta["tool_calls"][0] for delta in said]
    assert {(call["index"], call["id"], call["function"]["name"]) for call in calls} == {(0, calls[0]["id"], "weather")}
    assert json.loads("".join(call["function"]["arguments"] for call in calls))["place"] in ("Oslo", "Rome")


def test_a_call_that_was_cut_says_so(llm):
    answer = llm.create_chat_completion(MESSAGES, **CALLED, max_tokens=2)
    assert answer["choices"][0]["finish_reason"] == "length"


def test_the_first_chunk_tells_who_speaks(llm):
    chunks = list(llm.create_chat_completion(MESSAGES, stream=True, max_tokens=9, logits_processor=forced("yes!")))
    first, *said, last = deltas(chunks)
    assert first == {"role": "assistant"} and last == {}
    assert "".join(delta["content"] for delta in said) == "yes"


def test_log_probabilities_come_with_each_token(llm):
    options = {"max_tokens": 4, "temperature": 0, "logprobs": True, "top_logprobs": 2}
    answer = llm.create_chat_completion(MESSAGES, **options)
    content = answer["choices"][0]["logprobs"]["content"]
    assert len(content) == answer["usage"]["completion_tokens"]
    for token in content:
        assert token["logprob"] == max(top["logprob"] for top in token["top_logprobs"]) <= 0
    chunks = llm.create_chat_completion(MESSAGES, stream=True, **options)
    told = [chunk["choices"][0]["logprobs"] for chunk in chunks]
    assert [entry for part in told if part for entry in part["content"]] == content
    assert llm.create_chat_completion(MESSAGES, max_tokens=2)["choices"][0]["logprobs"] is None


@pytest.mark.parametrize(
    "options, words",
    [
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_object", "schema": {"type": "nosuch"}}}, "response_format.schema"),
        ({"tools": [WEATHER], "tool_choice": {"function": {"name": "x"}}}, "tool_choice"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(llm, options, words):
    with pytest.raises(LlamakitError, match=words):
        llm.create_chat_completion(MESSAGES, **options)


def test_formatters_are_told_what_no_handler_knows(llm):
    told = {}

    def formatter(messages, **options):
        told.update(options)
        return ChatFormatterResponse(prompt="the cat", added_special=True)

    handler = chat_formatter_to_chat_completion_handler(formatter)
    handler(llama=llm, messages=MESSAGES, tools=[WEATHER], enable_thinking=False, max_tokens=1, top_k=3)
    assert told == {
        "tools": [WEATHER], "tool_choice": None, "functions": None, "function_call": None, "enable_thinking": False,
    }  # fmt: skip


def test_a_template_reads_all_that_it_is_told():
    source = "{{ messages[0].content }}|{{ tools[0].a }}|{{ tool_choice }}|{{ functions }}|{{ function_call }}|{{ x }}"
    made = Jinja2ChatFormatter(source, "</s>", "<s>")
    response = made(messages=MESSAGES, tools=[{"a": 1}], tool_choice="auto", functions=2, function_call=3, x=4)
    assert response.prompt == "the cat?|1|auto|2|3|4"
    assert response.stop == ["</s>"] and response.stopping_criteria is None and response.added_special


def test_a_tokens_id_may_end_the_answer(llm):
    made = Jinja2ChatFormatter("{{ messages[0].content }}", "", "", stop_token_ids=[TEXTS.index("<0x21>")])
    answer = made.to_chat_handler()(
        llama=llm, messages=MESSAGES, max_tokens=9, logits_processor=forced("yes! no"), repeat_penalty=1.0
    )
    (choice,) = answer["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("yes!", "stop")


def test_handlers_draw_as_llama_cpp_python_does_where_nobody_says(llm):
    told = {}

    class Told:
        tokenize = llm.tokenize

        def create_completion(self, *_, **options):
            told.update(options)
            raise UsageError("enough")

    with pytest.raises(UsageError, match="enough"):
        chat_formatter_to_chat_completion_handler(plain)(llama=Told(), messages=MESSAGES)
    assert (told["temperature"], told["repeat_penalty"], told["max_tokens"]) == (0.2, 1.1, None)
