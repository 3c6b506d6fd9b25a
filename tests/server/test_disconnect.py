"""Clients that go, whatever their request is doing."""

from __future__ import annotations

import json
import re
import socket
import time
from contextlib import contextmanager

import pytest

pytest.importorskip("fastapi")

from llamakit.core.engine.load import load_model
from llamakit.core.engine.scheduler.scheduler import Scheduler
from llamakit.core.engine.speculation import PromptLookup
from llamakit.server.settings import ServerSettings

from ..running import open_context
from .processes import wait_until
from .serving import serving

N_SLOTS = 3
ENDLESS = {"prompt": "Hello", "n_predict": -1, "max_tokens": -1, "ignore_eos": True}
LONG = {**ENDLESS, "prompt": "Hello " * 300}


@pytest.fixture(scope="module", params=[None, PromptLookup(4)], ids=["plain", "guessing"])
def server(request, path):
    with open_context(path, n_ctx=2048, n_seq_max=N_SLOTS) as context:
        with Scheduler(context, load_model(path).vocab, guesser=request.param, n_prefill_beside=16) as scheduler:
            with serving(scheduler, server=ServerSettings(has_metrics=True), context_shift=True) as running:
                yield running


@contextmanager
def asking(server, path, body):
    """A client that does not read what it is answered, and goes."""
    host, port = server.url.removeprefix("http://").split(":")
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection((host, int(port)), 60) as client:
        client.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        yield


def n_incomplete(server):
    text = server.ask("/metrics").body.decode()
    return float(re.search(r'tgi_request_failure\{err="incomplete"\} (\S+)', text)[1])


def is_idle(server):
    return server.scheduler.n_running + server.scheduler.n_waiting == 0


@pytest.mark.parametrize("is_stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(
    "route, body, state",
    [
        ("/completion", ENDLESS, "DECODE"),
        ("/completion", LONG, "PREFILL"),
        ("/v1/completions", {**ENDLESS, "n": N_SLOTS}, "DECODE"),
    ],
    ids=["drawing", "prompt", "several"],
)
def test_fault_66_what_a_client_asked_for_ends_when_it_goes(server, route, body, state, is_stream):
    wait_until(lambda: is_idle(server))
    before, n = n_incomplete(server), body.get("n", 1)
    with asking(server, route, {**body, "stream": is_stream}):
        wait_until(lambda: server.scheduler.n_running == n)
        if state == "DECODE":
            wait_until(lambda: [slot.state for slot in server.scheduler.slots_info()].count(state) == n)
    begin = time.monotonic()
    wait_until(lambda: is_idle(server))
    assert time.monotonic() - begin < 30
    wait_until(lambda: n_incomplete(server) == before + 1)


@pytest.mark.parametrize("is_stream", [True, False], ids=["stream", "whole"])
def test_fault_66_a_client_that_goes_from_the_queue_leaves_others_alone(server, is_stream):
    wait_until(lambda: is_idle(server))
    before = n_incomplete(server)
    with asking(server, "/v1/completions", {**ENDLESS, "n": N_SLOTS}):
        wait_until(lambda: server.scheduler.n_running == N_SLOTS)
        with asking(server, "/completion", {**ENDLESS, "stream": is_stream}):
            wait_until(lambda: server.scheduler.n_waiting == 1)
        wait_until(lambda: server.scheduler.n_waiting == 0)
        assert server.scheduler.n_running == N_SLOTS
        wait_until(lambda: n_incomplete(server) == before + 1)
    wait_until(lambda: is_idle(server))
