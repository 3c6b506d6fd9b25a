"""/embedding and /rerank: what is sent to the engine, and how its vectors are told."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest

from ..serving import serving

VECTORS = [np.array([0.6, 0.8], np.float32), np.array([[1, 0], [0, 1]], np.float32)]


@pytest.fixture
def asked(monkeypatch, embedder):
    """What the engine is asked for; it answers with VECTORS, or scores by the length of the text."""
    calls = []

    async def embed(texts, norm=2):
        calls.append((list(texts), norm))
        return VECTORS[: len(texts)] if norm != -1 else [np.array([len(text)], np.float32) for text in texts]

    monkeypatch.setattr(embedder.engine, "embed", embed)
    return calls


@pytest.fixture(scope="module")
def embedder(scheduler):
    with serving(scheduler, embeddings=True, reranking=True) as running:
        yield running


def test_vectors_come_as_rows(embedder, asked):
    reply = embedder.ask("/embedding", {"content": ["a", "b"], "embd_normalize": 0})
    assert [part["index"] for part in reply.json] == [0, 1]
    assert np.allclose(reply.json[0]["embedding"], [[0.6, 0.8]]) and len(reply.json[1]["embedding"]) == 2
    encode = embedder.served.vocab.encode
    assert asked == [([tuple(encode("a")), tuple(encode("b"))], 0)]
    assert embedder.ask("/embeddings", {"input": "a"}).json[0]["index"] == 0


def test_rows_can_be_base64(embedder, asked):
    floats = embedder.ask("/embedding", {"content": ["a", "b"]}).json
    encoded = embedder.ask("/embedding", {"content": ["a", "b"], "encoding_format": "base64"}).json
    for part, row in zip(encoded, floats, strict=True):
        decoded = [np.frombuffer(base64.b64decode(text), "<f4").tolist() for text in part["embedding"]]
        assert (decoded, part["encoding_format"]) == (row["embedding"], "base64")
    wrong = embedder.ask("/embedding", {"content": "a", "encoding_format": "hex"})
    assert (wrong.status, wrong.json["error"]["param"]) == (400, "encoding_format")


@pytest.mark.parametrize("route", ["/embedding", "/v1/embeddings"])
def test_the_server_says_how_vectors_are_scaled_unless_a_request_does(scheduler, asked, embedder, monkeypatch, route):
    with serving(scheduler, embd_normalize=1) as running:
        monkeypatch.setattr(running.engine, "embed", embedder.engine.embed)
        running.ask(route, {"input": "a"})
        running.ask(route, {"input": "a", "embd_normalize": 2})
    assert [norm for _, norm in asked] == [1, 2]


def test_vectors_of_single_tokens_stay_as_they_are(embedder, asked, monkeypatch):
    monkeypatch.setattr(embedder.engine, "_info", replace(embedder.engine.info, pooling="none"))
    embedder.ask("/embedding", {"content": "a", "embd_normalize": 2})
    assert [norm for _, norm in asked] == [-1]


def test_documents_are_told_the_best_first(embedder, asked):
    documents = ["b", "b b b", "b b"]
    told = embedder.ask("/rerank", {"query": "a", "documents": documents, "top_n": 2, "model": "x"}).json
    assert [result["index"] for result in told["results"]] == [1, 2]
    assert told["results"][0]["relevance_score"] > told["results"][1]["relevance_score"]
    (texts, norm), vocab = asked[0], embedder.served.vocab
    n_tokens = sum(map(len, texts))
    assert (told["model"], told["object"], norm) == ("x", "list", -1)
    assert told["usage"] == {"prompt_tokens": n_tokens, "total_tokens": n_tokens}
    query, document = (vocab.encode(text, add_special=False) for text in ("a", "b"))
    assert texts[0] == (1, *query, *document)  # as this vocabulary wants it


def test_a_template_of_the_file_says_how_to_ask(embedder, asked, monkeypatch):
    metadata = {**embedder.served.metadata, "tokenizer.chat_template.rerank": "{query}</s>{document}"}
    object.__setattr__(embedder.served, "metadata", metadata)
    embedder.ask("/v1/rerank", {"query": "a", "documents": ["b"]})
    encode = embedder.served.vocab.encode
    assert asked[0][0] == [tuple(encode("a</s>b", add_special=False, parse_special=True))]
    del metadata["tokenizer.chat_template.rerank"]


def test_texts_are_answered_as_text_embeddings_inference_does(embedder, asked):
    body = {"query": "a", "texts": ["b", "b b"], "return_text": True}
    told = embedder.ask("/rerank", body).json
    assert [(result["index"], result["text"]) for result in told] == [(1, "b b"), (0, "b")]
    assert all(isinstance(result["score"], float) for result in told)
    assert "text" not in embedder.ask("/reranking", {**body, "return_text": False}).json[0]


@pytest.mark.parametrize(
    "route, body, param",
    [
        ("/rerank", {"documents": ["a"]}, "query"),
        ("/rerank", {"query": 5, "documents": ["a"]}, "query"),
        ("/rerank", {"query": "a"}, "documents"),
        ("/rerank", {"query": "a", "documents": []}, "documents"),
        ("/rerank", {"query": "a", "documents": [1, 2]}, "documents"),
        ("/rerank", {"query": "a", "documents": 123}, "documents"),
        ("/rerank", {"query": "a", "documents": ["a"], "top_n": -1}, "top_n"),
        ("/embedding", {}, "input"),
        ("/embedding", {"content": "a", "embd_normalize": -5}, "embd_normalize"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_field(embedder, route, body, param):
    reply = embedder.ask(route, body)
    assert (reply.status, reply.json["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    "route, message", [("/embedding", "Start it with `--embeddings`"), ("/rerank", "Start it with `--reranking`")]
)
def test_a_server_that_was_not_started_for_it_says_so(scheduler, route, message):
    with serving(scheduler, embeddings=False) as running:
        reply = running.ask(route, {"content": "a", "query": "a", "documents": ["a"]})
    assert (reply.status, reply.json["error"]["type"]) == (501, "not_supported_error")
    assert message in reply.json["error"]["message"]
