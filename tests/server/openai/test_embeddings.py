"""Embeddings, with an engine whose vectors a test knows."""

from __future__ import annotations

import base64
import struct
from dataclasses import replace

import numpy as np
import pytest


@pytest.fixture
def embedding(scripted, monkeypatch):
    """Each text's vector is (its number of tokens, the norm asked for, 0.5)."""

    async def embed(texts, norm):
        return [np.array([len(text), norm, 0.5], np.float32) for text in texts]

    settings = replace(scripted.served.settings, embeddings=True)
    monkeypatch.setitem(scripted.served.__dict__, "settings", settings)
    monkeypatch.setattr(scripted.served.engine, "embed", embed)
    monkeypatch.setattr(scripted.served.engine, "_info", replace(scripted.served.info, pooling="mean"))
    return scripted


def ask(server, input="abc", **fields):
    return server.ask("/v1/embeddings", {"input": input, **fields})


@pytest.mark.parametrize(
    "input, n_tokens",
    [
        ("abc", [3]),
        ([45, 46], [2]),
        (["a", "bcd"], [1, 3]),
        ([[45], "abc"], [1, 3]),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, [2]),
        (["a", {"prompt_string": "bc"}, {"content": [{"type": "text", "text": "def"}]}], [1, 2, 3]),
    ],
)
def test_texts_have_vectors_in_their_order(embedding, input, n_tokens):
    reply = ask(embedding, input).json
    assert [(item["index"], item["embedding"]) for item in reply["data"]] == [
        (i, [n, 2.0, 0.5]) for i, n in enumerate(n_tokens)
    ]
    assert reply["usage"] == {"prompt_tokens": sum(n_tokens), "total_tokens": sum(n_tokens)}
    assert (reply["object"], reply["model"], reply["data"][0]["object"]) == ("list", "tiny", "embedding")


def test_base64_is_the_same_as_floats(embedding):
    text = ask(embedding, encoding_format="base64").json["data"][0]["embedding"]
    assert struct.unpack("<3f", base64.b64decode(text)) == (3.0, 2.0, 0.5)


def test_the_width_may_be_said_where_it_is_right(embedding):
    assert ask(embedding, dimensions=3).status == 200
    reply = ask(embedding, dimensions=2)
    assert (reply.status, reply.json["error"]["param"]) == (400, "dimensions")


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"input": None}, '"input" or "content" must be provided'),
        ({"input": []}, "empty"),
        ({"input": {"content": "text"}}, "list of parts"),
        ({"input": {"content": [{"type": "image_url", "image_url": {"url": "x"}}]}}, "not supported"),
        ({"encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_what_makes_no_sense_is_refused(embedding, fields, message):
    reply = ask(embedding, **fields)
    assert reply.status == 400
    assert message in reply.json["error"]["message"]


def test_a_server_that_does_not_embed_says_so(scripted, monkeypatch):
    settings = replace(scripted.served.settings, embeddings=False)
    monkeypatch.setitem(scripted.served.__dict__, "settings", settings)
    reply = ask(scripted)
    assert (reply.status, reply.json["error"]["type"]) == (501, "not_supported_error")
    monkeypatch.setitem(scripted.served.__dict__, "settings", replace(settings, embeddings=True))
    monkeypatch.setattr(scripted.served.engine, "_info", replace(scripted.served.info, pooling="none"))
    assert "Pooling type 'none'" in ask(scripted).json["error"]["message"]
