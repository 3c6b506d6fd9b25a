"""Which routes there are, and those that say that there is nothing behind them."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
def test_models_are_listed_with_what_they_are(scripted, path):
    reply = scripted.ask(path).json
    (model,) = reply["data"]
    assert (reply["object"], model["id"], model["object"], model["owned_by"]) == ("list", "tiny", "model", "llamacpp")
    n_vocab = scripted.served.vocab.n_tokens
    (ollama,) = reply["models"]
    assert (ollama["name"], ollama["details"]["format"], ollama["size"]) == ("tiny", "gguf", 6)
    assert ollama["details"]["quantization_level"] == model["meta"].pop("ftype")
    assert model["meta"] == {
        "vocab_type": 2, "n_vocab": n_vocab, "n_ctx": 1024, "n_ctx_train": 2048, "n_embd": 8, "n_params": 5, "size": 6,
    }  # fmt: skip


def test_words_about_a_model_are_listed(scheduler):
    serving = pytest.importorskip("tests.server.serving").serving
    with serving(scheduler, aliases=("tiny", "b"), tags=("chat", "small")) as running:
        (model,) = running.ask("/v1/models").json["data"]
    assert (model["aliases"], model["tags"]) == (["tiny", "b"], ["chat", "small"])


def test_one_model_is_found_by_its_name(scripted):
    assert scripted.ask("/v1/models/tiny").json["id"] == "tiny"
    assert scripted.ask("/v1/models/other/one").status == 404


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/chat/completions"])
def test_chats_have_two_names(scripted, path):
    assert scripted.ask(path, {"messages": [{"role": "user", "content": "Hi"}]}).status == 200


@pytest.mark.parametrize(
    "path", ["/v1/audio/transcriptions", "/v1/audio/speech", "/v1/images/generations", "/v1/moderations"]
)
def test_what_no_model_here_does_is_said_so(scripted, path):
    reply = scripted.ask(path, {})
    assert (reply.status, reply.json["error"]["type"]) == (501, "not_supported_error")
