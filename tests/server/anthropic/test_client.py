"""Anthropic's own client, unchanged."""

from __future__ import annotations

import pytest

anthropic = pytest.importorskip("anthropic")

USER = {"role": "user", "content": "Hi"}
TOOL = {
    "name": "weather",
    "description": "The weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
SAID = '<think>Hm.</think>Look.<tool_call>{"name": "weather", "arguments": {"city": "Bonn"}}</tool_call>'


@pytest.fixture
def client(scripted):
    with anthropic.Anthropic(base_url=scripted.url, api_key="none", max_retries=0) as client:
        yield client


def ask(client, *messages, **fields):
    return client.messages.create(model="tiny", max_tokens=400, messages=[USER, *messages], **fields)


def test_messages_and_their_stream(scripted, client):
    answer = ask(client, system="Be brief.")
    assert (answer.content[0].text, answer.stop_reason, answer.usage.output_tokens) == ("Hello", "end_turn", 3)
    with client.messages.stream(model="tiny", max_tokens=400, messages=[USER]) as stream:
        assert "".join(stream.text_stream) == "Hello"
        assert stream.get_final_message().content[0].text == "Hello"


def test_tools_are_called_and_answered(scripted, client):
    scripted.says(SAID)
    answer = ask(client, tools=[TOOL])
    thought, text, call = answer.content
    assert (thought.thinking, text.text, call.name, call.input) == ("Hm.", "Look.", "weather", {"city": "Bonn"})
    with client.messages.stream(model="tiny", max_tokens=400, messages=[USER], tools=[TOOL]) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_message()
    assert {"input_json", "thinking", "text", "signature"} <= kinds
    assert final.content[2].input == {"city": "Bonn"}
    scripted.says("Sunny.")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "Sun"}
    again = ask(
        client, {"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}, tools=[TOOL]
    )
    assert again.content[0].text == "Sunny."


def test_tokens_are_counted(scripted, client):
    counted = client.messages.count_tokens(model="tiny", messages=[USER], tools=[TOOL])
    ask(client, tools=[TOOL])
    assert counted.input_tokens == len(scripted.script.asked[-1].tokens)


def test_errors_are_the_clients_own(scripted, client):
    with pytest.raises(anthropic.BadRequestError, match="role") as refused:
        client.messages.create(model="tiny", max_tokens=5, messages=[{"role": "nobody", "content": "x"}])
    assert refused.value.body["error"]["type"] == "invalid_request_error"
