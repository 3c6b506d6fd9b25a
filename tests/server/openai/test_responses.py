"""OpenAI's Responses."""

from __future__ import annotations

import json

import pytest

from llamakit.core.grammar.grammar import Grammar

TOOL = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": True,
}
SAID = '<think>Hm.</think>Look.<tool_call>{"name": "weather", "arguments": {"city": "Bonn"}}</tool_call>'


def ask(server, input="Hi", **fields):
    return server.ask("/v1/responses", {"input": input, **fields})


def prompt_of(server, input, **fields):
    reply = ask(server, input, **fields)
    assert reply.status == 200, reply.body
    return server.served.vocab.detokenize(server.script.asked[-1].tokens, special=True).decode()


def test_a_response_has_items_for_thoughts_text_and_calls(scripted):
    scripted.says(SAID)
    reply = ask(scripted, tools=[TOOL]).json
    thought, message, call = reply["output"]
    assert (thought["type"], thought["content"]) == ("reasoning", [{"type": "reasoning_text", "text": "Hm."}])
    assert (message["type"], message["content"][0]["text"]) == ("message", "Look.")
    assert (call["type"], call["name"], json.loads(call["arguments"])) == ("function_call", "weather", {"city": "Bonn"})
    assert [item["id"].split("_")[0] for item in reply["output"]] == ["rs", "msg", "fc"]
    assert (reply["status"], reply["object"], reply["id"][:5]) == ("completed", "response", "resp_")
    assert reply["usage"]["output_tokens_details"]["reasoning_tokens"] > 0


def test_events_come_in_order_and_say_the_same(scripted):
    scripted.says(SAID)
    events = ask(scripted, tools=[TOOL], stream=True).events
    kinds = [event["type"].removeprefix("response.") for event in events]
    once = [kind for i, kind in enumerate(kinds) if not kind.endswith(".delta") or kinds[i - 1] != kind]
    assert once == [
        "created", "in_progress",
        "output_item.added", "content_part.added", "reasoning_text.delta", "reasoning_text.done", "content_part.done",
        "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.done", "content_part.done",
        "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    final = events[-1]["response"]
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert final["output"] == done
    for kind, index, text in (("output_text", 1, "Look."), ("function_call_arguments", 2, done[2]["arguments"])):
        deltas = [event for event in events if event["type"] == f"response.{kind}.delta"]
        assert "".join(event["delta"] for event in deltas) == text
        assert {(event["item_id"], event["output_index"]) for event in deltas} == {(done[index]["id"], index)}


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_that_is_cut_short_is_incomplete(scripted, stream):
    reply = ask(scripted, max_output_tokens=2, stream=stream)
    if stream:
        assert reply.events[-1]["type"] == "response.incomplete"
    response = reply.events[-1]["response"] if stream else reply.json
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert (response["output"][0]["status"], response["output"][0]["content"][0]["text"]) == ("incomplete", "He")


def test_items_become_messages(scripted):
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Look."}]},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city": "Bonn"}'},
        {"type": "function_call_output", "call_id": "c1", "output": "Sun"},
        {"type": "message", "role": "assistant", "content": "Sunny.", "status": "completed", "id": "msg_1"},
        {"role": "user", "content": "Thanks"},
    ]
    text = prompt_of(scripted, items, instructions="Be brief.", tools=[TOOL])
    assert text.endswith(
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWeather?<|im_end|>\n"
        '<|im_start|>assistant\n<think>Hm.</think>Look.<tool_call>{"name": "weather", "arguments": {"city": "Bonn"}}'
        "</tool_call><|im_end|>\n<|im_start|>tool\nSun<|im_end|>\n<|im_start|>assistant\nSunny.<|im_end|>\n"
        "<|im_start|>user\nThanks<|im_end|>\n<|im_start|>assistant\n"
    )


def test_the_form_of_the_text_is_a_grammar(scripted):
    ask(scripted, text={"format": {"type": "json_schema", "name": "n", "schema": {"type": "boolean"}, "strict": True}})
    grammar = Grammar(scripted.script.asked[-1].constraint.rules)
    assert (grammar.matches("true"), grammar.matches("1")) == (True, False)
    ask(scripted, text={"format": {"type": "text"}})
    assert scripted.script.asked[-1].constraint is None


def test_effort_none_thinks_not(scripted):
    assert prompt_of(scripted, "Hi", reasoning={"effort": "none"}).endswith("<think></think>")


@pytest.mark.parametrize(
    "choice, is_lazy, names",
    [
        ("required", False, ["weather", "time"]),
        ({"type": "function", "name": "weather"}, False, ["weather"]),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "time"}]},
            False,
            ["time"],
        ),
        ("auto", True, ["weather", "time"]),
    ],
)
def test_a_choice_of_tools(scripted, choice, is_lazy, names):
    tools = [{**TOOL, "name": name, "parameters": None} for name in ("weather", "time")]
    ask(scripted, tools=tools, tool_choice=choice)
    constraint = scripted.script.asked[-1].constraint
    assert (constraint.triggers is not None) == is_lazy
    grammar, call = Grammar(constraint.rules), '<tool_call>\n{"name": "%s", "arguments": {}}\n</tool_call>'
    assert [name for name in ("weather", "time") if grammar.matches(call % name)] == names


def test_logprobs_are_told_where_they_are_asked_for(scripted):
    reply = ask(scripted, top_logprobs=1, include=["message.output_text.logprobs"]).json
    scores = reply["output"][0]["content"][0]["logprobs"]
    assert "".join(entry["token"] for entry in scores) == "Hello"
    assert len(scores[0]["top_logprobs"]) == 1


def test_tools_of_the_api_itself_are_named_as_ignored(scripted):
    reply = ask(scripted, tools=[{"type": "web_search"}, TOOL], wibble=1)
    assert reply.headers["x-ignored-parameters"] == "wibble, tools.0"


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"input": None}, "'input' is required"),
        ({"input": []}, "at least one item"),
        ({"input": 3}, "must be a list"),
        ({"input": [{"type": "wibble"}]}, "not supported"),
        ({"input": [{"type": "function_call_output", "call_id": "x", "output": ""}]}, "no function_call"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "http://x"}]}]}, "not supported"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "x"}]}]}, "not supported"),
        ({"previous_response_id": "resp_1"}, "answers are not kept"),
        ({"conversation": "c"}, "conversations are not kept"),
        ({"background": True}, "background"),
        ({"truncation": "auto"}, "truncation"),
        ({"text": {"format": {"type": "wibble"}}}, "text.format.type"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "tools": 5}}, "tool_choice.tools"),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools"}}, "tool_choice.tools"),
        ({"tools": 5}, "tools"),
        ({"text": 5}, "text"),
        ({"text": {"format": []}}, "text.format"),
        ({"reasoning": []}, "reasoning"),
        ({"reasoning": {"effort": []}}, "reasoning_effort"),
        ({"instructions": []}, "instructions"),
        ({"include": 5, "top_logprobs": -1}, "top_logprobs"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_not_supported_is_refused_clearly(scripted, fields, message, stream):
    reply = ask(scripted, **{"stream": stream, **fields})
    assert reply.status == 400
    assert message in reply.json["error"]["message"]


def test_tokens_of_an_input_are_counted(scripted):
    counted = scripted.ask("/v1/responses/input_tokens", {"input": "Hi"}).json
    ask(scripted)
    assert counted == {"object": "response.input_tokens", "input_tokens": len(scripted.script.asked[0].tokens)}
