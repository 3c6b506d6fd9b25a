"""What the classes of frameworks call: each with the keywords and the reading of answers that it has.

Of langchain_community `LlamaCpp`, `ChatLlamaCpp` and `LlamaCppEmbeddings`, of llama_index `LlamaCPP`.
"""

from __future__ import annotations

import numpy as np
import pytest

import llamakit.compat  # noqa: F401
from tests.api.model import TINY
from tests.tiny import write_tiny

from llama_cpp import Llama, LlamaGrammar  # isort: skip

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "",
        "parameters": {"type": "object", "properties": {"days": {"type": "integer"}}, "required": ["days"]},
    },
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return str(write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", TINY))


@pytest.fixture(scope="module")
def client(path):
    """As langchain's classes open it, with what they have as defaults."""
    options = {
        "rope_freq_scale": 1.0, "rope_freq_base": 10000.0, "lora_path": None, "lora_base": None, "n_ctx": 512,
        "n_parts": -1, "seed": -1, "f16_kv": True, "logits_all": False, "vocab_only": False, "use_mlock": False,
        "n_threads": None, "n_batch": 8, "use_mmap": True, "last_n_tokens_size": 64, "verbose": False,
        "n_gpu_layers": 1,
    }  # fmt: skip
    with Llama(path, **options) as client:
        yield client


COMPLETION = {"suffix": None, "max_tokens": 8, "temperature": 0.8, "top_p": 0.95, "logprobs": None, "echo": False,
              "repeat_penalty": 1.1, "top_k": 40, "stop": []}  # fmt: skip
CHAT = {"max_tokens": 24, "temperature": 0.8, "top_p": 0.95, "top_k": 40, "logprobs": None, "repeat_penalty": 1.1,
        "stop": []}  # fmt: skip
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "the cat?"}]


def test_langchains_model_completes(client):
    grammar = LlamaGrammar.from_string('root ::= "the cat" | "a cat"')
    result = client(prompt="the cat", **COMPLETION, grammar=grammar)
    assert result["choices"][0]["text"] in ("the cat", "a cat")
    assert len(client.tokenize(b"the cat")) > 1


def test_langchains_model_streams(client):
    chunks = list(client(prompt="the cat", stream=True, **{**COMPLETION, "logprobs": 2}))
    assert all(isinstance(chunk["choices"][0]["text"], str) for chunk in chunks)
    told = [chunk["choices"][0].get("logprobs") for chunk in chunks]
    assert any(logprobs and logprobs["top_logprobs"] for logprobs in told)


def test_langchains_chat_model_answers(client):
    response = client.create_chat_completion(messages=MESSAGES, **CHAT)
    assert response.get("usage", {})["total_tokens"] > 0
    for choice in response["choices"]:
        assert choice["message"]["role"] == "assistant" and isinstance(choice["message"].get("content", ""), str)
        assert choice.get("finish_reason") in ("stop", "length")


def test_langchains_chat_model_streams(client):
    deltas, reasons = [], []
    for chunk in client.create_chat_completion(messages=MESSAGES, stream=True, **CHAT):
        assert isinstance(chunk, dict)
        deltas.append(chunk["choices"][0]["delta"])
        reasons.append(chunk["choices"][0].get("finish_reason"))
    assert deltas[0].get("role") == "assistant"
    assert all(isinstance(delta.get("content") or "", str) for delta in deltas)
    assert [reason for reason in reasons if reason] in (["stop"], ["length"]) and reasons[-1]


@pytest.mark.parametrize("is_streamed", [False, True])
def test_langchains_chat_model_is_bound_to_a_tool(client, is_streamed):
    """As `with_structured_output` binds it; the answer goes back as langchain writes it into a message."""
    choice = {"type": "function", "function": {"name": "weather"}}
    options = {**CHAT, "max_tokens": 200, "seed": 3}
    answer = client.create_chat_completion(
        messages=MESSAGES, tools=[TOOL], tool_choice=choice, stream=is_streamed, **options
    )
    if is_streamed:
        calls = [call for chunk in answer for call in chunk["choices"][0]["delta"].get("tool_calls") or []]
        assert calls[0]["function"]["name"] == "weather" and {call["index"] for call in calls} == {0}
        assert "".join(call["function"]["arguments"] or "" for call in calls).startswith("{")
        return
    (call,) = answer["choices"][0]["message"]["tool_calls"]
    assert call["function"]["name"] == "weather" and call["id"] and call["function"]["arguments"].startswith("{")
    called = {"role": "assistant", "content": "", "tool_calls": [{**call, "function": {**call["function"]}}]}
    told = {"role": "tool", "content": "rain", "tool_call_id": call["id"]}
    again = client.create_chat_completion(messages=[*MESSAGES, called, told], **CHAT)
    assert again["choices"][0]["message"]["role"] == "assistant"


def test_langchains_embeddings(path):
    with Llama(path, embedding=True, n_ctx=512, n_parts=-1, seed=-1, f16_kv=False, logits_all=False, vocab_only=False,
               use_mlock=False, n_threads=None, n_batch=512, verbose=False) as client:  # fmt: skip
        found = [e["embedding"] for e in client.create_embedding(["the cat", "the"])["data"]]
        alone = client.embed("the cat")
    assert len(found) == 2 and len(found[0]) == len(alone)
    np.testing.assert_allclose(alone, found[0], atol=1e-5)


def test_llama_indexs_model(path):
    options = {"n_ctx": 256, "verbose": False, "n_gpu_layers": -1}
    with Llama(model_path=path, **options) as model:
        assert model.n_ctx() == model.context_params.n_ctx == 256
        wanted = {"temperature": 0.1, "max_tokens": 6, "seed": 3}
        text = model(prompt="the cat", **wanted)["choices"][0]["text"]
        pieces = [answer["choices"][0]["text"] for answer in model(prompt="the cat", **wanted, stream=True)]
    assert "".join(pieces) == text
