"""OpenAI's own client, unchanged."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

openai = pytest.importorskip("openai")

CALL = '<tool_call>{"name": "weather", "arguments": {"city": "Bonn"}}</tool_call>'
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS, "strict": True}}
USER = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def client(scripted):
    with openai.OpenAI(base_url=f"{scripted.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_completions_and_their_logprobs(scripted, client):
    answer = client.completions.create(model="tiny", prompt="Hi", logprobs=1, echo=True)
    assert answer.choices[0].text == "HiHello"
    assert answer.choices[0].logprobs.token_logprobs == [None, *[-0.25] * 6]
    stream = client.completions.create(model="tiny", prompt="Hi", stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == "Hello"


def test_chats_and_their_logprobs(scripted, client):
    answer = client.chat.completions.create(model="tiny", messages=USER, logprobs=True, top_logprobs=2)
    assert answer.choices[0].message.content == "Hello"
    assert [entry.token for entry in answer.choices[0].logprobs.content] == list("Hello")
    assert answer.usage.prompt_tokens_details.cached_tokens == 1
    options = {"stream": True, "stream_options": {"include_usage": True}}
    *chunks, last = client.chat.completions.create(model="tiny", messages=USER, **options)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello"
    assert last.usage.completion_tokens == 3


def test_tools_by_the_clients_own_stream(scripted, client):
    scripted.says(CALL)
    whole = client.chat.completions.create(model="tiny", messages=USER, tools=[TOOL]).choices[0]
    assert (whole.finish_reason, whole.message.content) == ("tool_calls", None)
    assert json.loads(whole.message.tool_calls[0].function.arguments) == {"city": "Bonn"}
    with client.chat.completions.stream(model="tiny", messages=USER, tools=[TOOL]) as stream:
        events = [event.type for event in stream]
        streamed = stream.get_final_completion().choices[0]
    assert "tool_calls.function.arguments.delta" in events
    assert streamed.message.tool_calls[0].function.parsed_arguments == {"city": "Bonn"}
    answer = {"role": "tool", "tool_call_id": whole.message.tool_calls[0].id, "content": "Sun"}
    scripted.says("Sunny.")
    again = client.chat.completions.create(model="tiny", messages=[*USER, whole.message, answer], tools=[TOOL])
    assert again.choices[0].message.content == "Sunny."


def test_parse_gives_an_object_of_the_callers_class(scripted, client):
    pydantic = pytest.importorskip("pydantic")
    Place = pydantic.create_model("Place", name=(str, ...), size=(int, ...))
    scripted.says('{"name": "Bonn", "size": 3}')
    answer = client.chat.completions.parse(model="tiny", messages=USER, response_format=Place)
    assert answer.choices[0].message.parsed == Place(name="Bonn", size=3)
    answer = client.responses.parse(model="tiny", input="Hi", text_format=Place)
    assert answer.output_parsed == Place(name="Bonn", size=3)


def test_responses_whole_and_by_the_clients_own_stream(scripted, client):
    assert client.responses.create(model="tiny", input="Hi").output_text == "Hello"
    scripted.says("<think>Hm.</think>Look." + CALL)
    tool = {"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": True}
    with client.responses.stream(model="tiny", input="Hi", tools=[tool]) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[-1] == "response.completed"
    assert final.output_text == "Look."
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call"]
    call = final.output[2]
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "Sun"}
    scripted.says("Sunny.")
    again = client.responses.create(model="tiny", input=[{"role": "user", "content": "Hi"}, *final.output, output])
    assert again.output_text == "Sunny."


def test_embeddings_come_as_base64_without_a_word(scripted, client, monkeypatch):
    async def embed(texts, norm):
        return [np.array([0.25, len(text)], np.float32) for text in texts]

    settings = replace(scripted.served.settings, embeddings=True)
    monkeypatch.setitem(scripted.served.__dict__, "settings", settings)
    monkeypatch.setattr(scripted.served.engine, "embed", embed)
    monkeypatch.setattr(scripted.served.engine, "_info", replace(scripted.served.info, pooling="mean"))
    answer = client.embeddings.create(model="tiny", input=["a", "bc"])
    assert [item.embedding for item in answer.data] == [[0.25, 1.0], [0.25, 2.0]]


def test_models_and_errors(scripted, client):
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.BadRequestError, match="top_p") as refused:
        client.chat.completions.create(model="tiny", messages=USER, top_p=3)
    assert refused.value.param == "top_p"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other")
