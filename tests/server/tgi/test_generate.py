"""/generate and /generate_stream as text-generation-inference answers them."""

from __future__ import annotations

import json
import math

import pytest

from llamakit.core.engine.generate import Finish
from llamakit.core.engine.scheduler import Request
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.params import SamplingParams

INPUTS = "Hello you"
N = 10


@pytest.fixture
def generate(server):
    def ask(inputs=INPUTS, route="/generate", **parameters):
        return server.ask(route, {"inputs": inputs, "parameters": {"max_new_tokens": N, **parameters}})

    return ask


def greedy(server, n_predict=N):
    """What the engine says, always the likeliest token."""
    vocab = server.served.vocab
    sampler = Sampler(SamplingParams(temperature=0), vocab.n_tokens, vocab.eog_ids, vocab=vocab)
    tokens = vocab.encode(INPUTS)
    job = server.scheduler.submit(Request(tokens, sampler, n_predict=n_predict, show_special=True))
    return list(job.pieces())


def test_without_sampling_the_likeliest_tokens_come(server, generate):
    reply = generate()
    pieces = greedy(server)
    assert reply.json == {"generated_text": "".join(piece.text for piece in pieces)}
    n_prompt = len(server.served.vocab.encode(INPUTS))
    headers = {name.lower(): text for name, text in reply.headers.items()}
    assert (headers["x-prompt-tokens"], headers["x-generated-tokens"]) == (str(n_prompt), str(N))
    assert headers["x-compute-characters"] == str(len(INPUTS))
    names = (
        "compute-type",
        "compute-time",
        "total-time",
        "validation-time",
        "queue-time",
        "inference-time",
        "time-per-token",
    )
    assert all(f"x-{name}" in headers for name in names)


def test_details_tell_the_tokens_and_why_the_text_ended(server, generate):
    details = generate(details=True).json["details"]
    pieces = greedy(server)
    assert (details["finish_reason"], details["generated_tokens"], details["seed"]) == ("length", N, None)
    assert details["prefill"] == []
    assert [(token["id"], token["text"]) for token in details["tokens"]] == [(p.token, p.text) for p in pieces]
    assert all(token["logprob"] <= 0 and token["special"] is False for token in details["tokens"])


def test_the_prompt_is_scored_where_that_is_asked_for(server, generate):
    prefill = generate(decoder_input_details=True).json["details"]["prefill"]
    assert [entry["id"] for entry in prefill] == server.served.vocab.encode(INPUTS)
    assert prefill[0]["logprob"] is None and prefill[0]["text"] == "<s>"
    assert all(entry["logprob"] < 0 for entry in prefill[1:])


def test_the_likeliest_tokens_of_each_place(generate):
    details = generate(details=True, top_n_tokens=3).json["details"]
    for token, top in zip(details["tokens"], details["top_tokens"], strict=True):
        assert len(top) == 3 and top[0]["id"] == token["id"]
        assert top[0]["logprob"] == token["logprob"] >= top[1]["logprob"]


def test_a_seed_gives_the_same_text_again_and_is_told(generate):
    texts = [generate(do_sample=True, seed=seed, details=True).json for seed in (3, 3, 4, 2**63)]
    assert texts[0]["generated_text"] == texts[1]["generated_text"] != texts[2]["generated_text"]
    assert [text["details"]["seed"] for text in texts] == [3, 3, 4, 2**63]
    assert generate(temperature=1.0, details=True).json["details"]["seed"] is not None


def test_the_best_of_some_texts_is_the_answer(generate):
    details = generate(do_sample=True, best_of=2, details=True).json["details"]

    def score(text):
        return sum(token["logprob"] for token in text["tokens"]) / len(text["tokens"])

    (other,) = details["best_of_sequences"]
    assert score(details) >= score(other)
    assert "generated_text" in other


def test_a_stop_text_is_part_of_the_text_and_counts_only_at_its_end(server, generate):
    pieces = greedy(server)
    stop = pieces[4].text
    reply = generate(stop=[stop], details=True).json
    text = reply["generated_text"]
    assert text.endswith(stop) and reply["details"]["finish_reason"] == "stop_sequence"
    first = next(i for i in range(len(pieces)) if "".join(p.text for p in pieces[: i + 1]).endswith(stop))
    assert text == "".join(piece.text for piece in pieces[: first + 1])


def test_a_text_that_is_stopped_counts_as_one_that_has_ended(server, generate, monkeypatch):
    streams = []
    submit = server.engine.submit
    monkeypatch.setattr(server.engine, "submit", lambda *args: streams.extend(made := submit(*args)) or made)
    generate(stop=[greedy(server)[4].text])
    generate()
    assert [stream.end.finish for stream in streams] == [Finish.STOP_TEXT, Finish.LENGTH]


def test_the_full_text_begins_with_the_prompt(generate):
    short = generate().json["generated_text"]
    assert generate(return_full_text=True).json["generated_text"] == INPUTS + short


def test_a_prompt_that_is_truncated_keeps_its_end_and_says_what_is_gone(server, generate):
    n_prompt = len(server.served.vocab.encode(INPUTS))
    reply = generate(truncate=2, decoder_input_details=True)
    assert [entry["id"] for entry in reply.json["details"]["prefill"]] == server.served.vocab.encode(INPUTS)[-2:]
    assert reply.headers["x-truncated-tokens"] == str(n_prompt - 2)


@pytest.mark.parametrize(
    "grammar, matches",
    [
        ({"type": "regex", "value": "[ab]{3}"}, lambda text: set(text) <= {"a", "b"} and len(text) == 3),
        ({"type": "json", "value": {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"],
          "additionalProperties": False}}, lambda text: json.loads(text) == {"a": None}),
        ({"type": "json_schema", "value": {"name": "x", "schema": {"type": "object", "properties":
          {"a": {"type": "null"}}, "required": ["a"], "additionalProperties": False}}},
         lambda text: json.loads(text) == {"a": None}),
    ],
)  # fmt: skip
def test_a_grammar_holds(generate, grammar, matches):
    reply = generate(grammar=grammar, max_new_tokens=60, details=True).json
    assert matches(reply["generated_text"])
    assert reply["details"]["finish_reason"] == "eos_token"
    assert reply["details"]["tokens"][-1]["special"] is True


def test_a_watermark_changes_the_text(generate):
    assert generate(watermark=True).json["generated_text"] != generate().json["generated_text"]


def test_a_stream_is_a_token_an_event_and_the_last_one_tells_all(generate):
    whole = generate(details=True).json
    events = generate(route="/generate_stream", details=True, top_n_tokens=2).events
    assert [event["index"] for event in events] == list(range(1, N + 1))
    assert [event["token"] for event in events] == whole["details"]["tokens"]
    assert all(len(event["top_tokens"]) == 2 for event in events)
    assert all(event["generated_text"] is None and event["details"] is None for event in events[:-1])
    last = events[-1]
    assert last["generated_text"] == whole["generated_text"]
    assert set(last["details"]) == {"finish_reason", "generated_tokens", "seed", "input_length"}
    assert generate(route="/generate_stream").events[-1]["details"] is None


def test_without_a_number_of_tokens_the_rest_of_the_context_is_for_the_answer(server):
    info = server.engine.info
    reply = server.ask("/generate", {"inputs": "a" * 50, "parameters": {"details": True, "do_sample": True, "seed": 1}})
    details = reply.json["details"]
    n_prompt = len(server.served.vocab.encode("a" * 50))
    assert details["finish_reason"] == "eos_token" or details["generated_tokens"] == info.n_ctx - n_prompt


INVALID = [
    ({"best_of": 3}, "`best_of` must be > 0 and <= 2. Given: 3"),
    ({"best_of": 2}, "you must use sampling when `best_of` is > 1"),
    ({"best_of": 2, "do_sample": True, "seed": 1}, "`seed` must not be set when `best_of` > 1"),
    ({"temperature": 0}, "`temperature` must be strictly positive"),
    ({"temperature": -1.5}, "`temperature` must be strictly positive"),
    ({"repetition_penalty": 0}, "`repetition_penalty` must be strictly positive"),
    ({"frequency_penalty": 3}, "`frequency_penalty` must be >= -2.0 and <= 2.0"),
    ({"top_k": 0}, "`top_k` must be strictly positive"),
    ({"top_p": 1}, "`top_p` must be > 0.0 and < 1.0"),
    ({"typical_p": 0}, "`typical_p` must be > 0.0 and < 1.0"),
    ({"max_new_tokens": 0}, "`max_new_tokens` must be strictly positive"),
    ({"stop": ["a"] * 5}, "`stop` supports up to 4 stop sequences. Given: 5"),
    ({"truncate": 0}, "`truncate` must be strictly positive and less than {n_input}. Given: 0"),
    ({"truncate": 10**6}, "`truncate` must be strictly positive and less than {n_input}. Given: 1000000"),
    ({"top_n_tokens": 6}, "`top_n_tokens` must be >= 0 and <= 5. Given: 6"),
    ({"max_new_tokens": 10**6}, "`inputs` tokens + `max_new_tokens` must be <= {n_ctx}. Given: {n_prompt} `inputs` "
     "tokens and 1000000 `max_new_tokens`"),
    ({"grammar": {"type": "json", "value": {"type": "object"}}},
     "grammar is not valid: Grammar must have a 'properties' field"),
]  # fmt: skip


@pytest.mark.parametrize("parameters, message", INVALID)
def test_fault_71_what_makes_no_sense_is_refused_in_its_own_words(server, generate, parameters, message):
    n_ctx, n_prompt = server.engine.info.n_ctx, len(server.served.vocab.encode(INPUTS))
    reply = generate(**parameters)
    told = "Input validation error: " + message.format(n_input=n_ctx - 1, n_ctx=n_ctx, n_prompt=n_prompt)
    assert (reply.status, reply.json) == (422, {"error": told, "error_type": "validation"})


@pytest.mark.parametrize(
    "body, message",
    [
        ({"inputs": ""}, "`inputs` cannot be empty"),
        ({"inputs": "a", "parameters": {"temperature": "hot"}}, "Field 'temperature': must be a number"),
        ({"inputs": "a", "parameters": {"seed": -1}}, "Field 'seed'"),
        ({"inputs": "a", "parameters": {"top_k": 1 << 70}}, "Field 'top_k'"),
        ({"inputs": "a", "parameters": {"grammar": {"type": "regex", "value": "("}}}, "grammar is not valid: "),
        ({"inputs": "a", "parameters": {"grammar": {"type": "magic", "value": "("}}}, "Field 'grammar.type'"),
        ({"inputs": "a", "parameters": {"adapter_id": "none"}}, "there is no adapter 'none'"),
        ({"inputs": "a", "parameters": []}, "Field 'parameters'"),
        ({"inputs": 5}, "Field 'inputs'"),
        ({}, "Field 'inputs'"),
        (b"{", "the body is not JSON"),
        ([1], "the body must be a JSON object"),
    ],
)
def test_a_body_that_makes_no_sense_is_refused(server, body, message):
    reply = server.ask("/generate", body)
    assert (reply.status, reply.json["error_type"]) == (422, "validation")
    assert message in reply.json["error"]


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"best_of": 2, "do_sample": True}, "`best_of` != 1 is not supported when streaming tokens"),
        ({"decoder_input_details": True}, "`decoder_input_details` == true is not supported when streaming tokens"),
    ],
)
def test_some_parameters_are_not_for_streams(generate, parameters, message):
    reply = generate(route="/generate_stream", **parameters)
    assert (reply.status, reply.json["error"]) == (422, f"Input validation error: {message}")


def test_fault_74_a_prompt_beyond_the_context_is_refused_with_the_counts(server, generate):
    text = "a b " * 200
    n = len(server.served.vocab.encode(text))
    most = server.engine.info.n_ctx - 1
    assert generate(text).json["error"].endswith(f"`inputs` must have less than {most} tokens. Given: {n}")


def test_a_server_with_too_much_to_do_says_so(server, generate, monkeypatch):
    monkeypatch.setitem(server.engine.streams, -1, None)
    monkeypatch.setattr(server.engine, "n_queue_max", 1 - server.engine.info.n_slots)
    reply = generate()
    assert (reply.status, reply.json) == (429, {"error": "Model is overloaded", "error_type": "overloaded"})


def test_more_answers_than_can_ever_be_are_refused_by_name(server, generate, monkeypatch):
    monkeypatch.setattr(server.engine, "n_queue_max", 1 - server.engine.info.n_slots)
    reply = generate(best_of=2, do_sample=True)
    assert (reply.status, reply.json["error_type"]) == (422, "validation")
    assert "'best_of': asks for 2 answers at once, and no more than 1 can run or wait" in reply.json["error"]


def test_scores_are_those_of_what_was_drawn_from(generate):
    """As text-generation-inference's: after the penalties and the warpers."""
    plain = generate(details=True, do_sample=True, seed=5).json["details"]["tokens"]
    narrow = generate(details=True, top_k=1, seed=5).json["details"]["tokens"]
    assert all(math.isclose(token["logprob"], 0, abs_tol=1e-6) for token in narrow)
    assert any(token["logprob"] < -0.1 for token in plain)


@pytest.mark.parametrize(
    "parameters",
    [
        {"repetition_penalty": 1.3},
        {"frequency_penalty": 0.5},
        {"watermark": True},
        {"grammar": {"type": "regex", "value": "[a-z]+"}},
    ],
)
def test_the_likeliest_tokens_have_scores_after_penalties_and_the_grammar(generate, parameters):
    reply = generate(details=True, top_n_tokens=2, **parameters).json
    details = reply["details"]
    for token, top in zip(details["tokens"], details["top_tokens"], strict=True):
        assert [top[0]["id"], top[0]["logprob"]] == [token["id"], token["logprob"]]
        assert len(top) == 2 and top[0]["logprob"] >= top[1]["logprob"]
    assert any(token["logprob"] < -0.01 for token in details["tokens"])
    assert generate(**parameters).json == {"generated_text": reply["generated_text"]}
