"""Hugging Face's InferenceClient, unchanged."""

from __future__ import annotations

import pytest

pytest.importorskip("huggingface_hub")

USER = [{"role": "user", "content": "Hi"}]
CALL = '<tool_call>{"name": "weather", "arguments": {"city": "Bonn"}}</tool_call>'
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
def client(scripted):
    from huggingface_hub import InferenceClient

    return InferenceClient(base_url=f"{scripted.url}/v1", api_key="none")


def test_chats_whole_streamed_and_with_tools(scripted, client):
    assert client.chat_completion(USER, model="tiny", max_tokens=9).choices[0].message.content == "Hello"
    chunks = client.chat_completion(USER, model="tiny", stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello"
    scripted.says(CALL)
    answer = client.chat_completion(USER, model="tiny", tools=[TOOL], tool_choice="required")
    assert answer.choices[0].message.tool_calls[0].function.name == "weather"


def test_a_schema_of_the_answer(scripted, client):
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"const": 1}, "strict": True}}
    scripted.says("1")
    assert client.chat_completion(USER, model="tiny", response_format=form).choices[0].message.content == "1"
    assert scripted.script.asked[-1].constraint is not None
