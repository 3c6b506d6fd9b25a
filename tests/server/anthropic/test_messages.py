"""Anthropic's messages: what they become, and what is told of the answer."""

from __future__ import annotations

import pytest

from llamakit.core.engine.generate import Finish
from llamakit.core.grammar.grammar import Grammar
from llamakit.server.engine.errors import EngineLost

USER = {"role": "user", "content": "Hi"}
TOOL = {
    "name": "weather",
    "description": "The weather",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 5}},
        "required": ["city"],
    },
}
CALL = '<tool_call>{"name": "weather", "arguments": {"city": "Bonn"}}</tool_call>'
SAID = "<think>Hm.</think>Look." + CALL


def ask(server, messages=(USER,), **fields):
    messages = list(messages) if isinstance(messages, tuple) else messages
    return server.ask("/v1/messages", {"model": "m", "max_tokens": 400, "messages": messages, **fields})


def prompt_of(server, messages, **fields):
    reply = ask(server, messages, **fields)
    assert reply.status == 200, reply.body
    return server.served.vocab.detokenize(server.script.asked[-1].tokens, special=True).decode()


def test_a_message_is_blocks_of_thoughts_text_and_calls(scripted):
    scripted.says(SAID)
    reply = ask(scripted, tools=[TOOL]).json
    call_id = reply["content"][2].pop("id")
    assert reply["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": ""},
        {"type": "text", "text": "Look."},
        {"type": "tool_use", "name": "weather", "input": {"city": "Bonn"}},
    ]
    assert call_id
    assert (reply["type"], reply["role"], reply["model"], reply["stop_reason"]) == (
        "message", "assistant", "tiny", "tool_use",
    )  # fmt: skip
    assert reply["usage"]["cache_read_input_tokens"] == 1
    assert reply["usage"]["output_tokens"] == 3


def test_events_come_in_order_and_say_the_same(scripted):
    scripted.says(SAID)
    reply = ask(scripted, tools=[TOOL], stream=True)
    names = [line[7:] for line in reply.body.decode().splitlines() if line.startswith("event: ")]
    assert names == [event["type"] for event in reply.events]
    once = [name for i, name in enumerate(names) if name != "content_block_delta" or names[i - 1] != name]
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    assert once == ["message_start", *block, *block, *block, "message_delta", "message_stop"]
    start = reply.events[0]["message"]
    assert (start["content"], start["stop_reason"], start["usage"]["output_tokens"]) == ([], None, 0)
    starts = [event["content_block"]["type"] for event in reply.events if event["type"] == "content_block_start"]
    assert starts == ["thinking", "text", "tool_use"]
    said = ["", "", ""]
    for event in reply.events:
        if event["type"] == "content_block_delta":
            kind = event["delta"].pop("type")
            said[event["index"]] += "" if kind == "signature_delta" else next(iter(event["delta"].values()))
    assert said == ["Hm.", "Look.", '{"city": "Bonn"}']
    assert reply.events[-2]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert reply.events[-2]["usage"]["output_tokens"] == 3


@pytest.mark.parametrize(
    "fields, reason, sequence",
    [
        ({}, "end_turn", None),
        ({"max_tokens": 2}, "max_tokens", None),
        ({"stop_sequences": ["zzz", "lo"]}, "stop_sequence", "lo"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_why_a_message_ends(scripted, fields, reason, sequence, stream):
    reply = ask(scripted, stream=stream, **fields)
    told = reply.events[-2]["delta"] if stream else reply.json
    assert (told["stop_reason"], told["stop_sequence"]) == (reason, sequence)


def test_a_full_context_is_said_to_be_one(scripted):
    scripted.says("Hello", finish=Finish.CONTEXT_FULL)
    assert ask(scripted).json["stop_reason"] == "model_context_window_exceeded"


def test_a_message_that_says_nothing_is_an_empty_text(scripted):
    scripted.says("")
    assert ask(scripted).json["content"] == [{"type": "text", "text": ""}]
    assert [event["type"] for event in ask(scripted, stream=True).events] == [
        "message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop",
    ]  # fmt: skip


def test_messages_become_a_chat(scripted):
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Weather?", "cache_control": {"type": "ephemeral"}}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "x"},
                {"type": "text", "text": "Look."},
                {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Bonn"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "Sun"}]},
                {"type": "text", "text": "So?"},
            ],
        },
    ]
    text = prompt_of(scripted, messages, system=[{"type": "text", "text": "Be brief."}], tools=[TOOL])
    assert text.endswith(
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWeather?<|im_end|>\n"
        '<|im_start|>assistant\n<think>Hm.</think>Look.<tool_call>{"name": "weather", "arguments": {"city": "Bonn"}}'
        "</tool_call><|im_end|>\n<|im_start|>tool\nSun<|im_end|>\n<|im_start|>user\nSo?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_a_tools_error_is_told_and_a_last_assistant_message_goes_on(scripted):
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "weather", "input": {}}]}
    failed = {"type": "tool_result", "tool_use_id": "t1", "content": "no such city", "is_error": True}
    begun = {"role": "assistant", "content": "Well"}
    text = prompt_of(scripted, [USER, call, {"role": "user", "content": [failed]}, begun])
    assert text.endswith("tool\nError: no such city<|im_end|>\n<|im_start|>assistant\nWell")


def test_a_stamp_that_differs_each_time_does_not_spoil_the_cache(scripted):
    header = "x-anthropic-billing-header: cc_version=2.1; cc_entrypoint=cli; cch={};You are helpful."
    prompts = [prompt_of(scripted, [USER], system=header.format(stamp)) for stamp in ("a5145", "00ff1")]
    assert prompts[0] == prompts[1]
    assert "You are helpful." in prompts[0]


def test_thinking_and_its_budget(scripted):
    assert prompt_of(scripted, [USER], thinking={"type": "disabled"}).endswith("<think></think>")
    text = prompt_of(scripted, [USER], thinking={"type": "enabled", "budget_tokens": 1024})
    assert text.endswith("assistant\n")
    assert scripted.script.asked[-1].budget.n_tokens == 1024


@pytest.mark.parametrize(
    "choice, has_grammar, is_lazy",
    [
        ({"type": "auto"}, True, True),
        ({"type": "any"}, True, False),
        ({"type": "tool", "name": "weather"}, True, False),
        ({"type": "none"}, False, False),
    ],
)
def test_a_choice_of_tools(scripted, choice, has_grammar, is_lazy):
    ask(scripted, tools=[TOOL], tool_choice=choice)
    constraint = scripted.script.asked[-1].constraint
    assert (constraint is not None, constraint is not None and constraint.triggers is not None) == (
        has_grammar,
        is_lazy,
    )
    if has_grammar and not is_lazy:
        grammar = Grammar(constraint.rules)
        assert (grammar.matches(CALL), grammar.matches(CALL.replace("Bonn", "Berlin"))) == (True, False)


@pytest.mark.parametrize("name", ["output_format", "output_config"])
def test_a_schema_of_the_answer_is_a_grammar(scripted, name):
    form = {"type": "json_schema", "schema": {"type": "boolean"}}
    ask(scripted, **{name: form if name == "output_format" else {"format": form}})
    grammar = Grammar(scripted.script.asked[-1].constraint.rules)
    assert (grammar.matches("true"), grammar.matches("1")) == (True, False)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"messages": 3}, "messages"),
        ({"messages": []}, "at least one"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "wibble"}]}]}, "messages[0].content[0]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
            "image input is not supported",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x"}]}]}, "no tool_use"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": "warm"}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
        ({"tools": [TOOL, TOOL]}, "two tools"),
        ({"tool_choice": {"type": "any"}}, "no tools"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "x"}}, "no tool 'x'"),
        ({"thinking": {"type": "maybe"}}, "thinking.type"),
        ({"output_format": {"type": "text"}}, "output_format.type"),
        ({"system": 3}, "system"),
        ({"tools": 5}, "tools"),
        ({"tool_choice": []}, "tool_choice"),
        ({"thinking": []}, "thinking"),
        ({"thinking": {"type": "enabled", "budget_tokens": "x"}}, "budget_tokens"),
        ({"output_config": []}, "output_config"),
        ({"output_config": {"format": []}}, "output_config.format"),
        ({"output_config": {"effort": []}}, "output_config.effort"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_have_anthropics_shape(scripted, fields, message, stream):
    reply = ask(scripted, **{"stream": stream, **fields})
    assert (reply.status, reply.json["type"], reply.json["error"]["type"]) == (400, "error", "invalid_request_error")
    assert message in reply.json["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_lost_engine_is_an_overloaded_server(scripted, stream):
    scripted.says(EngineLost("gone"))
    reply = ask(scripted, stream=stream)
    assert (reply.status, reply.json) == (
        503,
        {"type": "error", "error": {"type": "overloaded_error", "message": "gone"}},
    )


def test_headers_and_fields_that_mean_nothing(scripted):
    reply = scripted.ask(
        "/v1/messages",
        {"max_tokens": 5, "messages": [USER], "metadata": {"user_id": "me"}, "wibble": 1},
        anthropic_version="2023-06-01",
        anthropic_beta="x",
    )
    assert (reply.status, reply.headers["x-ignored-parameters"]) == (200, "wibble")
    assert reply.headers["request-id"].startswith("req_")


def test_tokens_are_counted(scripted):
    body = {"messages": [USER], "system": "Be brief.", "tools": [TOOL]}
    counted = scripted.ask("/v1/messages/count_tokens", body).json
    ask(scripted, system="Be brief.", tools=[TOOL])
    assert counted == {"input_tokens": len(scripted.script.asked[0].tokens)}
