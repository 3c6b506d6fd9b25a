"""Event streams: whole events, one end, errors in each API's shape, clients that go."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import time

import pytest

from llamakit.server import sse
from llamakit.server.errors import Refused
from llamakit.server.sse import OPENAI, Event, EventStream

USER = {"role": "user", "content": "Hi"}
BODIES = {
    "/v1/completions": {"prompt": "Hi"},
    "/v1/chat/completions": {"messages": [USER]},
    "/v1/responses": {"input": "Hi"},
    "/v1/messages": {"messages": [USER], "max_tokens": 100},
}


def wait_until(is_true):
    end = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("text", ["Größe 😀 ok", "", "a\n\ndata: b\r\u2028c"])
def test_fault_85_every_event_is_json_and_the_end_comes_once(scripted, path, text):
    scripted.says(text)
    reply = scripted.ask(path, {**BODIES[path], "stream": True, "stream_options": {"include_usage": True}})
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert "content-encoding" not in reply.headers
    blocks = reply.body.decode().split("\n\n")
    assert blocks.pop() == ""
    lines = [line for block in blocks for line in block.split("\n")]
    assert all(line.startswith(("data: ", "event: ")) for line in lines)
    events = [line[6:] for line in lines if line.startswith("data: ")]
    has_done = "completions" in path
    assert events.count("[DONE]") == has_done
    told = [json.loads(event) for event in events[: len(events) - has_done]]
    assert ("usage" in told[-1]) == has_done  # the others end with an event of their own
    said = "".join(
        part
        for event in told
        for part in (
            event.get("delta") if isinstance(event.get("delta"), str) else None,
            event["delta"].get("text") if isinstance(event.get("delta"), dict) else None,
            *(c.get("text") or c.get("delta", {}).get("content") for c in event.get("choices", ())),
        )
        if part
    )
    assert said == text


@pytest.mark.parametrize("method, status", [("HEAD", 405), ("OPTIONS", 405), ("GET", 405)])
def test_other_methods_of_these_routes_are_refused(scripted, method, status):
    assert scripted.ask("/v1/chat/completions", method=method).status == status


def test_a_stream_reaches_clients_of_http_1_0(scripted):
    scripted.says("Hello")
    body = json.dumps({"prompt": "Hi", "stream": True}).encode()
    host, port = scripted.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        head = f"POST /v1/completions HTTP/1.0\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert b"200 OK" in answer.split(b"\r\n", 1)[0]
    assert answer.count(b"data: [DONE]\n\n") == 1  # the connection has been closed, too


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_before_the_first_word_cancels(scripted, path, stream):
    scripted.says("x")
    scripted.script.is_silent = True
    connection = http.client.HTTPConnection(scripted.url.removeprefix("http://"), timeout=30)
    body = json.dumps({**BODIES[path], "stream": stream})
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    wait_until(lambda: scripted.served.engine.streams)
    ids = list(scripted.served.engine.streams)
    connection.close()
    wait_until(lambda: scripted.script.cancelled == ids)
    scripted.served.engine.streams.clear()


class Client:
    """An ASGI client that reads what it is sent until it goes."""

    def __init__(self, n_most=100, is_slow=False):
        self.sent, self.n_most, self.is_slow = [], n_most, is_slow
        self.gone = asyncio.Event()

    async def receive(self):
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        if self.is_slow and self.sent:
            await asyncio.sleep(3600)
        self.sent.append(message)
        if len(self.sent) >= self.n_most:
            self.gone.set()
            await asyncio.sleep(0.01)

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.sent)


def serve(events, client, style=OPENAI, ping=30.0):
    async def main():
        generator = events()
        first = asyncio.ensure_future(generator.__anext__())
        await EventStream(generator, first, style, ping, {})({"type": "http"}, client.receive, client.send)

    asyncio.run(asyncio.wait_for(main(), 30))
    return client


def test_an_error_amid_a_stream_is_its_last_event():
    for error, message in ((Refused(503, "full"), "full"), (ValueError("secret"), "an internal error")):

        async def events(error=error):
            yield Event({"a": 1})
            raise error

        body = serve(events, Client()).body.decode()
        first, last = body.removesuffix("\n\n").split("\n\n")
        assert first == 'data: {"a":1}'
        assert message in json.loads(last[6:])["error"]["message"]
        assert "secret" not in body and "[DONE]" not in body


def test_silence_is_broken_by_comments():
    async def events():
        yield Event({"a": 1})
        await asyncio.sleep(0.2)
        yield Event({"a": 2})

    body = serve(events, Client(), ping=0.05).body.decode()
    assert body.count(":\n\n") in (2, 3)
    assert body.endswith("data: [DONE]\n\n")


def test_fault_66_a_client_that_goes_closes_the_generator():
    closed = []

    async def events():
        try:
            while True:
                yield Event({"a": 1})
                await asyncio.sleep(0)
        finally:
            closed.append(True)

    serve(events, Client(n_most=5))
    assert closed == [True]


def test_fault_68_a_client_that_never_reads_is_left(monkeypatch):
    monkeypatch.setattr(sse, "SLOWEST", 0.05)
    closed = []

    async def events():
        try:
            while True:
                yield Event({"a": 1})
        finally:
            closed.append(True)

    serve(events, Client(is_slow=True), ping=0.02)
    assert closed == [True]


def test_a_long_wait_for_the_first_word_is_a_stream_of_comments(scripted, monkeypatch):
    monkeypatch.setattr("llamakit.server.respond.PATIENCE", 0.05)
    scripted.says("x")
    scripted.script.is_silent = True
    connection = http.client.HTTPConnection(scripted.url.removeprefix("http://"), timeout=30)
    body = json.dumps({"prompt": "Hi", "stream": True, "sse_ping_interval": 1})
    connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert (answer.status, answer.readline()) == (200, b":\n")
    ids = list(scripted.served.engine.streams)
    answer.close()
    connection.close()
    wait_until(lambda: scripted.script.cancelled == ids)
    scripted.served.engine.streams.clear()
