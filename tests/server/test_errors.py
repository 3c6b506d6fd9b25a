"""Errors in the shape of each API; bodies that are no JSON; parameters out of range."""

from __future__ import annotations

import json

import pytest

from llamakit.core.chat.errors import MessageError
from llamakit.core.engine.scheduler import QueueFull, SchedulerClosed
from llamakit.core.grammar.errors import GrammarError
from llamakit.errors import LlamakitError, UsageError
from llamakit.server.engine.errors import EngineLoading, PromptTooLong
from llamakit.server.errors import Refused, problem, problem_of, refusal, reply
from llamakit.server.generation.field import FieldError
from llamakit.server.models.models import UnknownModel


@pytest.mark.parametrize(
    "error, status, kind, param",
    [
        (FieldError("top_p", "no"), 400, "invalid_request_error", "top_p"),
        (MessageError("messages[0]", "no"), 400, "invalid_request_error", "messages[0]"),
        (UsageError("no"), 400, "invalid_request_error", None),
        (GrammarError("no"), 400, "invalid_request_error", None),
        (PromptTooLong(9, 5), 400, "exceed_context_size_error", None),
        (UnknownModel("no"), 404, "not_found_error", None),
        (QueueFull("no"), 429, "unavailable_error", None),
        (SchedulerClosed("no"), 503, "unavailable_error", None),
        (EngineLoading("no"), 503, "unavailable_error", None),
        (Refused(501, "no", "x"), 501, "not_supported_error", "x"),
        (LlamakitError("no"), 500, "server_error", None),
        (RuntimeError("secret"), 500, "server_error", None),
    ],
)
def test_an_error_has_a_status_and_a_kind(error, status, kind, param):
    it = problem_of(error)
    assert (it.status, it.kind, it.param) == (status, kind, param)
    assert "secret" not in it.message


@pytest.mark.parametrize(
    "path, status, body",
    [
        (
            "/v1/completions",
            400,
            {"error": {"code": 400, "message": "no", "type": "invalid_request_error", "param": None}},
        ),
        ("/p/v1/messages", 400, {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}),
        ("/generate", 422, {"error": "Input validation error: no", "error_type": "validation"}),
    ],
)
def test_each_api_has_a_shape_of_its_own(path, status, body):
    answer = reply(path, problem(400, "no"))
    assert (answer.status_code, json.loads(answer.body)) == (status, body)


def test_a_refusal_says_when_to_come_again():
    assert refusal("/v1/models", 503, "later").headers["retry-after"] == "1"
    assert refusal("/v1/models", 429, "later").headers["retry-after"] == "1"
    assert "retry-after" not in refusal("/v1/models", 403, "never").headers


PATHS = ("/v1/completions", "/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/messages")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"prompt": "a", "prompt": "b"}',
        b'{"prompt": "a", "temperature": NaN}',
        b'{"prompt": "a", "temperature": -Infinity}',
        b'{"prompt": "a", "seed": 1' + b"0" * 400 + b"}",
        b'{"prompt": "a", "temperature": 1e400}',
        b'{"prompt": "\xff\xfe"}',
        "{'prompt': '你好'}".encode("gbk"),
        b'\xef\xbb\xbf{"prompt": "a"}',
    ],
    ids=range(15),
)
def test_fault_70_a_body_that_is_no_plain_json_is_400(scripted, path, body):
    answer = scripted.ask(path, body)
    assert answer.status == 400
    assert answer.json["error"]["message"]


REQUESTS = {
    "/v1/completions": {"prompt": "a"},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "a"}]},
}


@pytest.mark.parametrize("path", REQUESTS)
@pytest.mark.parametrize(
    "name, value",
    [
        ("n", 10**9),
        ("n", 0),
        ("n", "2"),
        ("max_tokens", -2),
        ("max_tokens", 2**63),
        ("max_tokens", 1.5),
        ("temperature", -1),
        ("temperature", 1e308),
        ("temperature", "hot"),
        ("temperature", True),
        ("top_p", 2),
        ("top_p", -0.1),
        ("top_k", -5),
        ("top_k", 1 << 40),
        ("min_p", 1.5),
        ("seed", 2**80),
        ("seed", -5),
        ("seed", "x"),
        ("logit_bias", {"999999": 1}),
        ("logit_bias", {"5": "x"}),
        ("logit_bias", [[1, 2]] * 10**5),
        ("stop", ["x"] * 10**5),
        ("stop", 5),
        ("stop", [5]),
        ("n_probs", 10**6),
        ("n_discard", -1),
        ("n_keep", -2),
        ("repeat_penalty", 0),
        ("repeat_last_n", -2),
        ("presence_penalty", 1e39),
        ("mirostat", 3),
        ("samplers", ["wibble"]),
        ("id_slot", 99),
        ("stream", "yes"),
        ("model", 3),
    ],
)
def test_fault_71_a_parameter_out_of_range_is_400_and_named(scripted, path, name, value):
    answer = scripted.ask(path, {**REQUESTS[path], name: value})
    assert answer.status == 400
    assert name in answer.json["error"]["param"]


@pytest.mark.parametrize("path", REQUESTS)
@pytest.mark.parametrize("n", [1000, 1024, 1100, 5000])
def test_fault_74_a_prompt_beyond_the_context_is_400_with_the_counts(scripted, path, n):
    text = "x" * n
    body = {"prompt": text} if path == "/v1/completions" else {"messages": [{"role": "user", "content": text}]}
    answer = scripted.ask(path, {**body, "max_tokens": 5000})
    n_prompt = n if path == "/v1/completions" else scripted.ask(f"{path}/input_tokens", body).json["input_tokens"]
    if n_prompt <= 1024:
        assert answer.status == 200
    else:
        error = answer.json["error"]
        assert (answer.status, error["n_prompt_tokens"], error["n_ctx"]) == (400, n_prompt, 1024)


def test_no_answer_ever_shows_a_traceback(scripted, monkeypatch):
    monkeypatch.setattr("llamakit.server.openai.chat.envelope", lambda *_: 1 / 0)
    answer = scripted.chat()
    assert (answer.status, answer.json["error"]["type"]) == (500, "server_error")
    assert b"division" not in answer.body and b"Traceback" not in answer.body


@pytest.mark.parametrize("path", ["/nowhere", "/v1/nowhere"])
def test_an_unknown_path_is_404(scripted, path):
    answer = scripted.ask(path)
    assert (answer.status, answer.json["error"]["message"]) == (404, "File Not Found")
