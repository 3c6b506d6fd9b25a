"""Server-sent events: one JSON text each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from llamakit.errors import LlamakitError
from llamakit.server.errors import Problem, openai_shape, problem_of

log = logging.getLogger(__name__)

PING = 30.0  # seconds of silence, then a comment says that the server is there
SLOWEST = 600.0  # seconds that a client may leave what was sent unread


@dataclass(frozen=True, slots=True)
class Event:
    data: dict[str, Any]
    name: str | None = None

    def encoded(self) -> bytes:
        name = f"event: {self.name}\n" if self.name else ""
        return f"{name}data: {json.dumps(self.data, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


Events = AsyncGenerator[Event, None]


@dataclass(frozen=True)
class Style:
    """How an API's streams fail and end."""

    error: Callable[[Problem], Event] = lambda problem: Event(openai_shape(problem)[1])
    has_done: bool = True  # data: [DONE], unless they failed


OPENAI = Style()


class EventStream(Response):
    """Sends events; `first` is the one that has been waited for already.

    However the response ends, a client that goes too, the events' generator is closed. An error is the last event, as
    the status has been sent by then.
    """

    media_type = "text/event-stream"

    def __init__(
        self, events: Events, first: Awaitable[Event], style: Style, ping: float, headers: Mapping[str, str]
    ) -> None:
        self.status_code, self.background = 200, None
        self.events, self.first, self.style, self.ping = events, first, style, ping
        self.heard = monotonic()  # when the client last took something
        self.blocked: float | None = None  # since when it does not
        self.init_headers({"Cache-Control": "no-cache", "X-Accel-Buffering": "no", **headers})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        works = (self.write(send), self.keep_alive(send), client_gone(receive))
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.events.aclose()

    async def write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            await self.send(send, (await self.first).encoded())
            async for event in self.events:
                await self.send(send, event.encoded())
            last = b"data: [DONE]\n\n" if self.style.has_done else b""
        except OSError:  # the client has gone
            return
        except Exception as error:
            if not isinstance(error, LlamakitError):
                log.exception("a stream failed")
            last = self.style.error(problem_of(error)).encoded()
        await send({"type": "http.response.body", "body": last, "more_body": False})

    async def send(self, send: Send, data: bytes) -> None:
        self.blocked = monotonic()
        await send({"type": "http.response.body", "body": data, "more_body": True})
        self.blocked, self.heard = None, monotonic()

    async def keep_alive(self, send: Send) -> None:
        """Break the silence; returns when the client has not read for too long."""
        while True:
            await asyncio.sleep(self.ping if self.ping > 0 else SLOWEST)
            if self.blocked is not None:
                if monotonic() - self.blocked > SLOWEST:
                    return
            elif self.ping > 0 and monotonic() - self.heard >= self.ping:
                with contextlib.suppress(OSError):
                    await self.send(send, b":\n\n")


async def client_gone(receive: Receive) -> None:
    """Returns when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
