"""LangChain's OpenAI classes, unchanged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("langchain_openai")

CALL = '<tool_call>{"name": "weather", "arguments": {"city": "Bonn"}}</tool_call>'


@pytest.fixture
def model(scripted):
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(model="tiny", base_url=f"{scripted.url}/v1", api_key="none", max_retries=0, stream_usage=True)


def test_invoke_and_stream(scripted, model):
    answer = model.invoke("Hi")
    assert (answer.content, answer.usage_metadata["output_tokens"]) == ("Hello", 3)
    chunks = list(model.stream("Hi"))
    assert "".join(chunk.content for chunk in chunks) == "Hello"
    assert sum(chunk.usage_metadata["output_tokens"] for chunk in chunks if chunk.usage_metadata) == 3


def test_tools_are_bound_called_and_answered(scripted, model):
    from langchain_core.messages import HumanMessage, ToolMessage

    def weather(city: str) -> str:
        """The weather in a city."""

    scripted.says(CALL)
    bound = model.bind_tools([weather])
    answer = bound.invoke("Hi")
    (call,) = answer.tool_calls
    assert (call["name"], call["args"]) == ("weather", {"city": "Bonn"})
    streamed = None
    for chunk in bound.stream("Hi"):
        streamed = chunk if streamed is None else streamed + chunk
    assert streamed.tool_calls[0]["args"] == {"city": "Bonn"}
    scripted.says("Sunny.")
    assert bound.invoke([HumanMessage("Hi"), answer, ToolMessage("Sun", tool_call_id=call["id"])]).content == "Sunny."


@pytest.mark.parametrize("method, text", [("json_schema", '{"name": "Bonn"}'), ("function_calling", None)])
def test_structured_output(scripted, model, method, text):
    from pydantic import BaseModel

    class Place(BaseModel):
        """A place."""

        name: str

    scripted.says(text or '<tool_call>{"name": "Place", "arguments": {"name": "Bonn"}}</tool_call>')
    assert model.with_structured_output(Place, method=method).invoke("Hi") == Place(name="Bonn")
    assert scripted.script.asked[-1].constraint.triggers is None


def test_embeddings_of_ids(scripted, monkeypatch):
    from langchain_openai import OpenAIEmbeddings

    async def embed(texts, norm):
        return [np.array([0.6, 0.8], np.float32) for _ in texts]

    settings = replace(scripted.served.settings, embeddings=True)
    monkeypatch.setitem(scripted.served.__dict__, "settings", settings)
    monkeypatch.setattr(scripted.served.engine, "embed", embed)
    monkeypatch.setattr(scripted.served.engine, "_info", replace(scripted.served.info, pooling="mean"))
    options = {"base_url": f"{scripted.url}/v1", "api_key": "none", "check_embedding_ctx_length": False}
    vectors = OpenAIEmbeddings(model="tiny", **options).embed_documents(["a", "b"])
    assert vectors == [pytest.approx([0.6, 0.8])] * 2
