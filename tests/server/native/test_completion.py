"""llama-server's /completion: fields of the request, members of the answer, chunks, errors."""

from __future__ import annotations

import http.client
import json
import time

import pytest

from llamakit.core.engine.scheduler import Request
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.params import SamplingParams

PROMPT = "Hello you"


@pytest.fixture
def complete(server):
    def ask(prompt=PROMPT, **body):
        return server.ask("/completion", {"prompt": prompt, "n_predict": 12, "seed": 5, "ignore_eos": True, **body})

    return ask


def said(server, prompt=PROMPT, n_predict=12):
    """What the engine says by itself."""
    vocab = server.served.vocab
    tokens = vocab.encode(prompt)
    sampler = Sampler(SamplingParams(seed=5, ignore_eos=True), vocab.n_tokens, vocab.eog_ids, vocab=vocab)
    job = server.scheduler.submit(Request(tokens, sampler, n_predict=n_predict))
    pieces = list(job.pieces())
    return "".join(piece.text for piece in pieces) + job.end.text, [piece.token for piece in pieces]


def test_an_answer_has_all_members_and_says_what_the_engine_says(server, complete):
    told = complete(return_tokens=True, model="whatever").json
    assert (told["content"], told["tokens"]) == said(server)
    assert set(told) == {
        "index", "content", "tokens", "id_slot", "stop", "model", "tokens_predicted", "tokens_evaluated",
        "generation_settings", "prompt", "has_new_line", "truncated", "stop_type", "stopping_word", "tokens_cached",
        "timings",
    }  # fmt: skip
    n_prompt = len(server.served.vocab.encode(PROMPT))
    assert (told["tokens_predicted"], told["tokens_evaluated"], told["tokens_cached"]) == (12, n_prompt, n_prompt + 11)
    assert (told["stop"], told["stop_type"], told["truncated"], told["model"]) == (True, "limit", False, "whatever")
    assert told["prompt"] == "<s> " + PROMPT
    assert told["timings"]["prompt_n"] + told["timings"]["cache_n"] == n_prompt
    settings = told["generation_settings"]
    assert (settings["seed"], settings["n_predict"], settings["max_tokens"], settings["stream"]) == (5, 12, 12, False)
    assert {"bias": None, "token": 2} in settings["logit_bias"]  # of </s>, never: JSON has no infinity
    assert complete().json["tokens"] == []


def test_a_stream_joins_to_the_whole_and_ends_with_all_that_is_known(server, complete):
    *chunks, last = complete(stream=True, timings_per_token=True).events
    text, tokens = said(server)
    assert "".join(chunk["content"] for chunk in chunks) == text
    assert [token for chunk in chunks for token in chunk["tokens"]] == tokens
    assert all(chunk["tokens"] and chunk["timings"] and chunk["stop"] is False for chunk in chunks)
    assert (last["stop"], last["content"], last["tokens"], last["tokens_predicted"]) == (True, "", [], 12)
    assert "generation_settings" in last


def test_several_prompts_and_texts_are_numbered(server, complete):
    one = complete("a").json["content"]
    told = complete(["a", server.served.vocab.encode("a"), PROMPT], n_cmpl=2).json
    assert [part["index"] for part in told] == list(range(6))
    assert [told[0]["content"], told[2]["content"], told[4]["content"]] == [one, one, said(server)[0]]
    assert told[1]["content"] == told[3]["content"] != one
    events = complete(["a", PROMPT], stream=True).events
    assert [event["index"] for event in events if event["stop"]] == [0, 1]
    assert "".join(event["content"] for event in events if event["index"] == 1) == said(server)[0]


def test_a_mixed_prompt_is_one_prompt(server, complete):
    assert complete([1, 40, "a", 41]).json["tokens_evaluated"] > 3
    assert complete({"prompt_string": PROMPT}).json["content"] == said(server)[0]


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_text_ends_the_answer_and_is_named(server, complete, stream):
    text, _ = said(server, n_predict=30)
    stop = text[len(text) // 2 :][:3]
    reply = complete(stop=[stop], n_predict=30, stream=stream)
    parts = reply.events if stream else [reply.json]
    assert "".join(part["content"] for part in parts) == text[: text.index(stop)]
    assert (parts[-1]["stop_type"], parts[-1]["stopping_word"]) == ("word", stop)


def test_a_prompt_alone_is_read_when_nothing_is_to_be_written(complete):
    told = complete(n_predict=0).json
    assert (told["content"], told["tokens_predicted"], told["stop_type"]) == ("", 0, "limit")


@pytest.mark.parametrize("is_post", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_probabilities_of_each_token_are_told(complete, is_post, stream):
    reply = complete(n_probs=3, post_sampling_probs=is_post, stream=stream, return_tokens=True, n_predict=4)
    parts = reply.events[:-1] if stream else [reply.json]
    scored = [entry for part in parts for entry in part["completion_probabilities"]]
    assert [entry["id"] for entry in scored] == [token for part in parts for token in part["tokens"]]
    name, top = ("prob", "top_probs") if is_post else ("logprob", "top_logprobs")
    for entry in scored:
        assert set(entry) == {"id", "token", "bytes", name, top}
        assert len(entry[top]) == 3 and all(set(likely) == {"id", "token", "bytes", name} for likely in entry[top])
        assert 0 < entry[name] <= 1 if is_post else entry[name] <= 0
    assert not stream or "completion_probabilities" not in reply.events[-1]


def test_only_the_fields_that_are_wanted_come_lifted_to_the_root(complete):
    told = complete(response_fields=["content", "generation_settings/n_predict", "nothing/at/all"]).json
    assert told.keys() == {"content", "generation_settings/n_predict"}
    assert told["generation_settings/n_predict"] == 12


def test_progress_of_the_prompt_is_told_in_a_stream(complete):
    events = complete("a b c d e f g " * 12, stream=True, return_progress=True, cache_prompt=False).events
    first, *others = [event for event in events if "prompt_progress" in event]
    assert (first["timings"]["prompt_n"], first["timings"]["prompt_ms"]) == (0, 0)
    assert others[-1]["prompt_progress"]["processed"] == others[-1]["prompt_progress"]["total"]
    assert others[-1]["timings"]["prompt_n"] == others[-1]["tokens_evaluated"]
    assert all(event["content"] == "" and event["tokens"] == [] for event in (first, *others))


def test_a_grammar_and_a_schema_hold(complete):
    assert complete(grammar='root ::= "abc" "d"', n_predict=-1, ignore_eos=False).json["content"] == "abcd"
    schema = {
        "type": "object",
        "properties": {"a": {"type": "boolean"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    text = complete(json_schema=schema, n_predict=60, ignore_eos=False).json["content"]
    assert isinstance(json.loads(text)["a"], bool)


@pytest.mark.parametrize(
    "body, message",
    [
        ({"prompt": None}, '"prompt" is required'),
        ({"prompt": ""}, None),  # BOS alone
        ({"prompt": []}, "must not be empty"),
        ({"prompt": [10**6]}, "Prompt contains invalid tokens"),
        ({"prompt": 5}, "prompt"),
        ({"n_cmpl": 4}, "Field 'n_cmpl': Value must be between 1 <= value <= 3, but got 4"),
        ({"temperature": "x"}, "Field 'temperature'"),
        ({"grammar": "root ::= ("}, "Field 'grammar'"),
        ({"id_slot": 3}, "there is no slot 3"),
        ({"lora": [{"id": 0, "scale": 1}]}, "Field 'lora.0.id'"),
        ({"json_schema": {"type": "x"}}, "Field 'json_schema'"),
        ({"stream": True, "n_predict": -5}, "Field 'n_predict'"),
    ],
)
def test_fault_71_what_makes_no_sense_is_refused_by_its_field(complete, body, message):
    reply = complete(**body)
    if message is None:
        assert reply.status == 200
        return
    error = reply.json["error"]
    assert (reply.status, error["code"], error["type"]) == (400, 400, "invalid_request_error")
    assert message in error["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_fault_74_a_prompt_beyond_the_context_is_refused_with_the_counts(server, complete, stream):
    n_ctx = server.engine.info.n_ctx
    reply = complete([40] * (n_ctx + 1), stream=stream)
    error = reply.json["error"]
    assert (reply.status, error["type"]) == (400, "exceed_context_size_error")
    assert (error["n_prompt_tokens"], error["n_ctx"]) == (n_ctx + 1, n_ctx)
    assert error["message"].startswith(f"request ({n_ctx + 1} tokens) exceeds the available context size")


def test_fault_74_a_full_context_ends_the_text_and_says_so(server, complete):
    n_ctx = server.engine.info.n_ctx
    told = complete([40] * (n_ctx - 6), n_predict=-1).json
    assert (told["stop_type"], told["truncated"]) == ("limit", True)
    assert told["tokens_evaluated"] + told["tokens_predicted"] <= n_ctx + 1


def test_parameters_that_mean_nothing_here_are_named(complete):
    assert complete(magic=1, user="me").headers["x-ignored-parameters"] == "magic"
    assert "x-ignored-parameters" not in complete().headers


def test_fault_85_every_event_is_json_and_there_is_no_done(complete):
    events = complete(stream=True).events
    assert "[DONE]" not in events and sum(event["stop"] for event in events) == 1


def test_a_client_that_goes_cancels_all_its_texts(server, monkeypatch):
    decode = server.scheduler.context.decode

    def slow(chunks):
        time.sleep(0.01)
        return decode(chunks)

    monkeypatch.setattr(server.scheduler.context, "decode", slow)
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    body = {"prompt": ["a", "b"], "n_predict": 200, "ignore_eos": True}
    connection.request("POST", "/completion", json.dumps(body), {"Content-Type": "application/json"})
    wait_until(lambda: server.scheduler.n_running == 2)
    connection.close()
    wait_until(lambda: server.scheduler.n_running == 0)


def wait_until(is_true):
    end = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.001)
