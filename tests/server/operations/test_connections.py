from __future__ import annotations

import socket
import time

import pytest

from llamakit.server.operations.limits import Limits

from .conftest import listening, received, send

LIMITS = Limits(headers=4000, header_time=0.4, write_time=0.4, n_connections=4)
GET = b"GET / HTTP/1.1\r\nHost: here\r\n"


async def app(scope, receive, send):
    body = b""
    while (message := await receive()).get("more_body"):
        body += message["body"]
    body += message.get("body", b"")
    length = int(scope["path"].strip("/") or len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % length)]})
    await send({"type": "http.response.body", "body": body or b"x" * length})


@pytest.fixture(scope="module")
def address():
    with listening(app, LIMITS) as address:
        yield address


def test_several_requests_on_a_connection_are_served(address):
    request = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 3\r\n\r\nabc"
    with socket.create_connection(address) as client:
        for _ in range(3):
            client.sendall(request)
            client.settimeout(5)
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")
            time.sleep(0.05)


@pytest.mark.parametrize(
    "data, status",
    [
        (GET + b"X: " + b"a" * 1_000_000 + b"\r\n\r\n", b"431"),  # longer than one piece of data
        (GET + b"X: " + b"a" * 5000 + b"\r\n\r\n", b"431"),
        (GET + b"a: b\r\n" * 100_000 + b"\r\n", b"431"),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: here\r\n\r\n", b"431"),
        (GET + b"Content-Length: -1\r\n\r\n", b"400"),
        (GET + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", b"400"),
        (GET + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (GET + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),  # TLS where there is none
    ],
)
def test_fault_69_headers_that_lie_or_are_too_long(address, data, status):
    answers = send(address, data)
    assert answers.startswith(b"HTTP/1.1 " + status), answers[:200]


@pytest.mark.parametrize("data", [b"", b"GET / HT", GET + b"X: "])
def test_fault_67_who_is_slow_with_headers_is_told_so(address, data):
    begin = time.monotonic()
    assert send(address, data).startswith(b"HTTP/1.1 408")
    assert time.monotonic() - begin < 5


def test_fault_67_one_byte_at_a_time_does_not_win_time(address):
    with socket.create_connection(address) as client:
        begin = time.monotonic()
        answer = b""
        while not answer and time.monotonic() - begin < 5:
            client.settimeout(0.05)
            try:
                client.sendall(b"G" if not answer else b"")
                answer = client.recv(1000)
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - begin < 5


def test_fault_67_more_connections_than_may_be_are_refused_and_accepting_goes_on(address):
    held = [socket.create_connection(address) for _ in range(4)]
    time.sleep(0.1)
    assert send(address, b"").startswith(b"HTTP/1.1 503")
    for client in held:
        client.close()
    time.sleep(0.1)
    assert send(address, GET + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_fault_68_a_reader_who_reads_nothing_is_dropped(address):
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(address)
        client.sendall(b"GET /50000000 HTTP/1.1\r\nHost: here\r\n\r\n")
        time.sleep(1.5)
        client.settimeout(5)
        assert len(received(client)) < 50_000_000
