from __future__ import annotations

import io
import json
import logging

import pytest

from llamakit.server.operations.logs import JsonFormatter, LineFormatter, log, log_request
from llamakit.server.operations.record import RequestRecord

EVIL = "/v1/\n2026-01-01 INFO all is well\x1b[2J\u202e"


@pytest.fixture(params=[LineFormatter, JsonFormatter])
def written(request, monkeypatch):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(request.param())
    monkeypatch.setattr(log, "handlers", [handler])
    monkeypatch.setattr(log, "propagate", False)
    monkeypatch.setattr(log, "level", logging.INFO)
    return stream


def test_fault_88_a_request_writes_no_line_of_its_own_and_no_terminal_codes(written):
    log_request(RequestRecord("GET", EVIL, EVIL, status=404, begun=1.0, ended=1.5))
    text = written.getvalue()
    assert text.count("\n") == 1 and text.endswith("\n")
    assert "\x1b" not in text and "\u202e" not in text


def test_json_lines_have_the_figures_of_a_request(monkeypatch):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    monkeypatch.setattr(log, "handlers", [handler])
    monkeypatch.setattr(log, "propagate", False)
    monkeypatch.setattr(log, "level", logging.INFO)
    log_request(RequestRecord("POST", "/v1/completions", "/v1/completions", status=200, begun=1.0, ended=1.5))
    line = json.loads(stream.getvalue())
    assert (line["method"], line["status"], line["seconds"]) == ("POST", 200, 0.5)
