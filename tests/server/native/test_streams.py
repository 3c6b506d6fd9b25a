"""Streams that go on without their readers."""

from __future__ import annotations

import json
import socket
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from llamakit.server import kept_streams
from llamakit.server.settings import ServerSettings

from ..serving import serving

BODY = {"prompt": "Hello you", "n_predict": 12, "stream": True, "ignore_eos": True, "seed": 3}


def lookup(server, *names):
    return server.ask("/v1/streams/lookup", {"conversation_ids": list(names)}).json


@contextmanager
def begun(server, name, n_predict):
    """A client that has read the beginning of a stream."""
    data, address = json.dumps({**BODY, "n_predict": n_predict}).encode(), urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port)) as client:
        head = f"POST /completion HTTP/1.1\r\nHost: {address.netloc}\r\nX-Conversation-Id: {name}\r\n"
        client.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
        assert client.recv(64)
        yield


def wait_for_end(server, name):
    end = time.monotonic() + 60
    while not lookup(server, name)[0]["is_done"]:
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_a_stream_of_a_conversation_is_read_again(server):
    whole = server.ask("/completion", BODY, X_Conversation_Id="one::tiny")
    assert len(whole.events) > 10 and whole.events[-1]["stop"] is True
    again = server.ask("/v1/stream?conv_id=one::tiny&from=0")
    assert (again.status, again.body) == (200, whole.body)
    assert "text/event-stream" in {name.lower(): text for name, text in again.headers.items()}["content-type"]
    assert server.ask("/v1/stream?conv_id=one::tiny&from=100").body == whole.body[100:]
    (told,) = lookup(server, "one", "two")
    assert (told["conversation_id"], told["is_done"], told["total_bytes"]) == ("one::tiny", True, len(whole.body))
    assert told["completed_at"] >= told["started_at"] > 0
    assert server.ask("/v1/stream?conv_id=one::tiny", method="DELETE").status == 204
    assert server.ask("/v1/stream?conv_id=one::tiny").status == 404
    assert lookup(server, "one") == []


def test_a_stream_goes_on_when_its_reader_goes(server):
    with begun(server, "gone", n_predict=40):
        pass
    wait_for_end(server, "gone")
    said = server.ask("/v1/stream?conv_id=gone").events
    assert said[-1]["stop"] is True and said[-1]["tokens_predicted"] == 40
    server.ask("/v1/stream?conv_id=gone", method="DELETE")


def test_a_stream_that_is_ended_cancels_its_generation(server):
    with begun(server, "long", n_predict=100_000):
        assert server.ask("/v1/stream?conv_id=long", method="DELETE").status == 204
        end = time.monotonic() + 60
        while server.engine.streams:
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.01)


def test_keys_have_conversations_of_their_own(scheduler):
    with serving(scheduler, server=ServerSettings(api_keys=("ann", "bob"))) as running:
        ann, bob = ({"Authorization": f"Bearer {key}"} for key in ("ann", "bob"))
        running.ask("/completion", BODY, X_Conversation_Id="mine", **ann)
        assert running.ask("/v1/stream?conv_id=mine", **ann).status == 200
        assert running.ask("/v1/stream?conv_id=mine", **bob).status == 404
        assert running.ask("/v1/streams/lookup", {"conversation_ids": ["mine"]}, **bob).json == []


def test_what_was_dropped_cannot_be_read(server, monkeypatch):
    monkeypatch.setattr(kept_streams, "LONGEST", 300)
    server.ask("/completion", BODY, X_Conversation_Id="short")
    lost = server.ask("/v1/stream?conv_id=short")
    assert (lost.status, lost.json["error"]["message"]) == (400, "Stream offset lost, please restart")
    n_bytes = lookup(server, "short")[0]["total_bytes"]
    assert len(server.ask(f"/v1/stream?conv_id=short&from={n_bytes - 300}").body) == 300


def test_old_and_too_many_streams_are_forgotten(server, monkeypatch):
    monkeypatch.setattr(kept_streams, "MOST", 2)
    for name in ("a", "b", "c"):
        server.ask("/completion", BODY, X_Conversation_Id=name)
    assert [told["conversation_id"] for told in lookup(server, "a", "b", "c")] == ["b", "c"]
    monkeypatch.setattr(kept_streams, "KEPT", -1.0)
    assert lookup(server, "a", "b", "c") == []


@pytest.mark.parametrize(
    "query, status", [("", 400), ("?conv_id=", 400), ("?conv_id=none", 404), ("?conv_id=kept&from=x", 400)]
)
def test_what_makes_no_sense_is_refused(server, query, status):
    server.ask("/completion", {**BODY, "n_predict": 1}, X_Conversation_Id="kept")
    assert server.ask(f"/v1/stream{query}").status == status
    assert server.ask("/completion", BODY, X_Conversation_Id="x" * 300).status == 400
