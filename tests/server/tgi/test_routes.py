"""The other routes of text-generation-inference, and those whose bodies tell which API they are for."""

from __future__ import annotations

import pytest

from llamakit.server.settings import ServerSettings

from ..serving import serving

INPUTS = "Hello you"


def test_the_root_takes_both_ways(server):
    body = {"inputs": INPUTS, "parameters": {"max_new_tokens": 5}}
    (reply,) = server.ask("/", body).json
    assert reply == server.ask("/generate", body).json
    events = server.ask("/", {**body, "stream": True}).events
    assert events[-1]["generated_text"] == reply["generated_text"]
    assert server.ask("/", {"inputs": ""}).json["error_type"] == "validation"


def test_without_a_page_there_is_nothing_at_the_root_to_get(server, scheduler):
    with serving(scheduler, server=ServerSettings(has_web_page=False)) as running:
        assert (running.ask("/").status, running.ask("/", {"inputs": ""}).status) == (404, 422)


def test_info_tells_what_is_served(server):
    info = server.ask("/info").json
    n_ctx = server.engine.info.n_ctx
    assert (info["model_id"], info["max_input_tokens"], info["max_total_tokens"]) == ("tiny", n_ctx - 1, n_ctx)
    assert info["max_concurrent_requests"] == server.engine.info.n_slots + server.engine.n_queue_max
    assert (info["max_best_of"], info["max_stop_sequences"], info["max_client_batch_size"]) == (2, 4, 4)


def test_a_ping_is_answered_with_nothing_or_unhealthy(server, monkeypatch):
    assert (server.ask("/ping").status, server.ask("/ping").body) == (200, b"")
    monkeypatch.setattr("llamakit.server.tgi.info.why_not_ready", lambda models: "it is not there yet")
    reply = server.ask("/ping")
    assert (reply.status, reply.json) == (503, {"error": "unhealthy", "error_type": "healthcheck"})


def test_tokens_have_their_places_in_bytes(server):
    text = "Hello 媽 you"
    told = server.ask("/tokenize", {"inputs": text}).json
    assert [part["id"] for part in told] == server.served.vocab.encode(text)
    assert (told[0]["text"], told[0]["start"], told[0]["stop"]) == ("", 0, 0)
    data = text.encode()
    assert b"".join(data[part["start"] : part["stop"]] for part in told) == data
    assert all(data[part["start"] : part["stop"]].decode("utf-8", "replace") == part["text"] for part in told)


def test_bodies_of_tokenize_tell_whose_they_are(server):
    assert "tokens" in server.ask("/tokenize", {"content": INPUTS}).json
    assert isinstance(server.ask("/tokenize", {"inputs": INPUTS}).json, list)
    assert server.ask("/tokenize", {"inputs": 5}).json["error_type"] == "validation"


def test_a_chat_is_rendered_and_tokenized(server):
    messages = [{"role": "user", "content": "Hello"}]
    told = server.ask("/chat_tokenize", {"messages": messages}).json
    assert told["templated_text"] == server.ask("/apply-template", {"messages": messages}).json["prompt"]
    assert "".join(part["text"] for part in told["tokenize_response"]) == told["templated_text"]


@pytest.mark.parametrize(
    "body, key",
    [
        ({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}, "choices"),
        ({"prompt": "Hi", "max_tokens": 4}, "choices"),
        ({"inputs": "Hi", "parameters": {"max_new_tokens": 4}}, "generated_text"),
    ],
)
def test_an_invocation_is_for_the_api_of_its_body(server, body, key):
    told = server.ask("/invocations", body).json
    assert key in (told[0] if isinstance(told, list) else told)


def test_vertex_takes_several_at_once(server):
    text = {"inputs": INPUTS, "parameters": {"max_new_tokens": 5}}
    chat = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
    told = server.ask("/vertex", {"instances": [text, chat]}).json["predictions"]
    assert told[0] == server.ask("/generate", text).json["generated_text"]
    assert len(told) == 2 and isinstance(told[1], str)


@pytest.fixture
def client(server):
    hub = pytest.importorskip("huggingface_hub")
    return hub.InferenceClient(server.url)


class TestInferenceClient:
    """Hugging Face's own client, as it is used with text-generation-inference."""

    def test_text(self, server, client):
        wanted = server.ask("/generate", {"inputs": INPUTS, "parameters": {"max_new_tokens": 6}}).json["generated_text"]
        assert client.text_generation(INPUTS, max_new_tokens=6) == wanted
        assert "".join(client.text_generation(INPUTS, max_new_tokens=6, stream=True)) == wanted

    def test_details(self, client):
        told = client.text_generation(
            INPUTS,
            max_new_tokens=6,
            details=True,
            best_of=2,
            do_sample=True,
            top_n_tokens=2,
            decoder_input_details=True,
        )
        assert len(told.details.tokens) == told.details.generated_tokens <= 6
        assert told.details.best_of_sequences[0].generated_text != ""
        assert told.details.prefill[0].id == 1
        assert len(told.details.top_tokens[0]) == 2

    def test_stream_of_details(self, client):
        *events, last = client.text_generation(
            INPUTS, max_new_tokens=6, details=True, stream=True, seed=3, do_sample=True
        )
        assert all(event.token.text is not None for event in events)
        assert last.details.finish_reason == "length" and last.details.seed == 3

    def test_grammar(self, client):
        grammar = {"type": "regex", "value": "[0-9]{2}"}
        assert len(client.text_generation(INPUTS, max_new_tokens=20, grammar=grammar)) == 2

    def test_errors(self, client):
        from huggingface_hub.errors import ValidationError

        with pytest.raises(ValidationError, match=r"`top_p` must be > 0\.0 and < 1\.0"):
            client.text_generation(INPUTS, top_p=2)

    def test_chat(self, client):
        messages = [{"role": "user", "content": "Hi"}]
        told = client.chat_completion(messages, max_tokens=5, seed=1, logprobs=True, top_logprobs=2)
        assert told.choices[0].message.role == "assistant" and told.usage.completion_tokens <= 5
        chunks = list(client.chat_completion(messages, max_tokens=5, seed=1, stream=True))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == told.choices[0].message.content
        schema = {
            "type": "object",
            "properties": {"a": {"type": "null"}},
            "required": ["a"],
            "additionalProperties": False,
        }
        told = client.chat_completion(
            messages, max_tokens=60, seed=1, response_format={"type": "json", "value": schema}
        )
        assert "null" in told.choices[0].message.content
