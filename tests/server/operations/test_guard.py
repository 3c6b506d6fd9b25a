"""Requests as they pass the guard, over real sockets."""

from __future__ import annotations

import http.client
import json
import time

import pytest

pytest.importorskip("fastapi")
from fastapi import FastAPI, Request

from llamakit.server.errors import add_handlers
from llamakit.server.operations.auth import ApiKeys
from llamakit.server.operations.guard import Guard, Operations
from llamakit.server.operations.limits import Limits
from llamakit.server.operations.origins import Origins

from .conftest import listening, send

LIMITS = Limits(body=1000, body_time=0.4)
RECORDS = []


def make_app():
    app = FastAPI()
    add_handlers(app)

    @app.post("/completion")
    async def completion(request: Request):
        return {"n": len(await request.body()), "tenant": getattr(request.state, "tenant", "")}

    @app.get("/llm/{route}")
    async def health():
        return {"status": "ok"}

    return app


@pytest.fixture(scope="module")
def address():
    operations = Operations(
        keys=ApiKeys(["sk-one", "sk-two"]), origins=Origins(allowed=("http://friend.com",)), limits=LIMITS,
        observers=[RECORDS.append], prefix="/llm",
    )  # fmt: skip
    with listening(Guard(make_app(), operations), LIMITS) as address:
        yield address


def ask(address, method="POST", path="/completion", body=b"{}", **headers):
    """Status, headers, and the JSON of a reply."""
    connection = http.client.HTTPConnection(*address, timeout=10)
    headers = {"Authorization": "Bearer sk-one", **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection.request(method, path, body, headers)
    reply = connection.getresponse()
    data = reply.read()
    connection.close()
    return reply.status, reply.headers, json.loads(data) if data else None


def test_a_request_with_a_key_is_served_and_knows_its_tenant(address):
    status, _, one = ask(address)
    _, _, two = ask(address, Authorization="Bearer sk-two")
    assert status == 200 and one["n"] == 2
    assert one["tenant"] and two["tenant"] and one["tenant"] != two["tenant"]


@pytest.mark.parametrize("key", ["", "Bearer sk-three", "Bearer " + "x" * 10_000])
def test_fault_81_a_request_without_a_key_is_not(address, key):
    status, _, body = ask(address, Authorization=key)
    assert status == 401 and body["error"]["type"] == "authentication_error"


@pytest.mark.parametrize("route", ["/health", "/live", "/ready"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_health_needs_no_key_and_no_name(address, route, method):
    """A probe asks by the address of a pod."""
    status, _, body = ask(address, method, f"/llm{route}", None, Authorization="", Host="10.1.2.3:8080")
    assert (status, body) == (200, {"status": "ok"} if method == "GET" else None)


@pytest.mark.parametrize("version, status", [("1.0", 200), ("1.1", 400)])
def test_a_request_without_a_host_is_of_an_old_client_or_wrong(address, version, status):
    head = f"POST /completion HTTP/{version}\r\nAuthorization: Bearer sk-one\r\nContent-Length: 2\r\n\r\n{{}}"
    assert f" {status} " in send(address, head.encode()).decode().partition("\r\n")[0]


def test_fault_69_two_hosts_are_refused(address):
    head = b"POST /completion HTTP/1.1\r\nHost: localhost\r\nHost: evil.com\r\nAuthorization: Bearer sk-one\r\n"
    reply = send(address, head + b"Content-Length: 2\r\n\r\n{}")
    assert reply.startswith(b"HTTP/1.1 400") and b"not 2" in reply


def test_fault_82_names_are_checked_but_on_a_unix_socket(tmp_path):
    with listening(Guard(make_app(), Operations()), LIMITS, tmp_path / "here.sock") as path:
        head = b"POST /completion HTTP/1.1\r\nHost: backend\r\nContent-Length: 2\r\n\r\n{}"
        assert send(path, head).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.com"}, {"Origin": "http://evil.com"}, {"Origin": "null"}, {"Origin": "http://localhost:1"}],
)
def test_fault_82_other_names_and_pages_are_refused(address, headers):
    status, reply_headers, body = ask(address, **headers)
    assert status == 403 and "error" in body
    assert "access-control-allow-origin" not in reply_headers


def test_fault_82_a_page_that_was_allowed_is_answered(address):
    status, headers, _ = ask(address, Origin="http://friend.com")
    assert (status, headers["access-control-allow-origin"], headers["vary"]) == (200, "http://friend.com", "Origin")
    preflight = {"Access_Control_Request_Method": "POST"}
    status, headers, _ = ask(address, "OPTIONS", Origin="http://friend.com", Authorization="", **preflight)
    assert status == 200 and "POST" in headers["access-control-allow-methods"]
    status, headers, _ = ask(address, "OPTIONS", Origin="http://evil.com", Authorization="", **preflight)
    assert status == 200 and "access-control-allow-origin" not in headers


def test_fault_69_long_bodies_are_refused_whatever_they_say_of_their_length(address):
    assert ask(address, body=b"x" * 1000)[0] == 200
    status, _, body = ask(address, body=b"x" * 1001)
    assert status == 413 and "1000 bytes" in body["error"]["message"]
    head = b"POST /completion HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer sk-one\r\n"
    chunks = (b"100\r\n" + b"x" * 256 + b"\r\n") * 100  # and no end
    assert send(address, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks).startswith(b"HTTP/1.1 413")
    assert send(address, head + b"Content-Length: 1000000000\r\n\r\n").startswith(b"HTTP/1.1 413")


def test_fault_67_who_is_slow_with_a_body_is_told_so(address):
    head = b"POST /completion HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer sk-one\r\nContent-Length: 10\r\n\r\n"
    begin = time.monotonic()
    assert send(address, head + b"abc").startswith(b"HTTP/1.1 408")
    assert time.monotonic() - begin < 5


def test_each_request_is_noted_once_when_it_is_over(address):
    RECORDS.clear()
    ask(address, path="/completion?key=sk-one")
    ask(address, Authorization="")
    ask(address, "HEAD", "/llm/health", None)
    assert [(r.method, r.path, r.route, r.status) for r in RECORDS] == [
        ("POST", "/completion", "/completion", 200),
        ("POST", "/completion", "/completion", 401),
        ("HEAD", "/llm/health", "/health", 200),
    ]
    assert all(r.ended >= r.begun for r in RECORDS)
