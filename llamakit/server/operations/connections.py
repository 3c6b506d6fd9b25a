"""Connections of clients that are slow or lie: limits before there is a request that an application could see."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
from asyncio.events import TimerHandle
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from llamakit.server.operations.limits import Limits

SPARE = 64  # file descriptors for what is not a connection


def protocol_class(limits: Limits) -> type[HttpToolsProtocol]:
    """uvicorn's protocol (its option `http`), with limits on headers, their time and the number of connections."""
    n_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    n_connections = min(limits.n_connections, max(n_files - SPARE, n_files // 2))

    class Connection(HttpToolsProtocol):
        """Between requests, uvicorn's own keep-alive time holds."""

        _write_timer: TimerHandle | None = None
        _timer: TimerHandle | None = None
        _n_received = 0  # bytes since the last request was complete
        _n_kept = 0  # bytes of the headers being read
        url = b""
        _has_headers = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            drop_when_stuck(transport, limits.write_time)
            if len(self.connections) > n_connections:
                self._refuse(503, "too many connections; try again later")
            else:
                self._await_headers()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            self._forgive()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            """The client does not take what it asked for."""
            super().pause_writing()
            self._write_timer = self.loop.call_later(limits.write_time, self.transport.abort)

        def resume_writing(self) -> None:
            self._forgive()
            super().resume_writing()

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            if not self._has_headers:
                if self._timer is None:  # the first bytes of a later request
                    self._await_headers()
                self._n_received += len(data)
            super().data_received(data)
            if not self._has_headers and self._n_received > limits.headers:
                self._refuse_headers()

        def on_message_begin(self) -> None:
            self._n_kept = 0
            super().on_message_begin()

        def on_header(self, name: bytes, value: bytes) -> None:
            self._n_kept += len(name) + len(value) + len(": \r\n")
            if self._n_kept <= limits.headers:
                super().on_header(name, value)

        def on_headers_complete(self) -> None:
            if self._is_too_long():
                raise ValueError("headers too long")  # the parser stops, and `send_400_response` says why
            self._has_headers = True
            self._stop_waiting()
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            super().on_message_complete()
            self._has_headers, self._n_received = False, 0

        def send_400_response(self, msg: str) -> None:
            if self._is_too_long():
                self._refuse_headers()
            else:
                self._refuse(400, "this is not HTTP/1.1 as it must be")

        def _is_too_long(self) -> bool:
            return self._n_kept + len(self.url) > limits.headers

        def _await_headers(self) -> None:
            message = f"no whole request within {limits.header_time:g} seconds"
            self._timer = self.loop.call_later(limits.header_time, self._refuse, 408, message)

        def _stop_waiting(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _forgive(self) -> None:
            if self._write_timer is not None:
                self._write_timer.cancel()
                self._write_timer = None

        def _refuse_headers(self) -> None:
            self._refuse(431, f"the headers are longer than {limits.headers} bytes, the most that are taken")

        def _refuse(self, status: int, message: str) -> None:
            """Say why, unless a reply is on its way, and close."""
            self._stop_waiting()
            if self.transport.is_closing():
                return
            if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
                self.transport.write(reply(status, message))
            self.transport.close()

    return Connection


def drop_when_stuck(transport: asyncio.Transport, seconds: float) -> None:
    """Let the kernel end a connection whose last bytes nobody takes, which is closed only when they are gone."""
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None and connection.family != socket.AF_UNIX and hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * seconds))


def reply(status: int, message: str) -> bytes:
    kind = "unavailable_error" if status == 503 else "invalid_request_error"
    body = json.dumps({"error": {"code": status, "message": message, "type": kind}}).encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
