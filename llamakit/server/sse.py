"""Server-sent events: one JSON text each."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from llamakit.errors import LlamakitError
from llamakit.server.engine.stream import Stream
from llamakit.server.errors import body_of_error

log = logging.getLogger(__name__)


class EventStream(StreamingResponse):
    """Chunks made of a job's pieces, then [DONE]; whatever ends the response, a client that goes too, ends the job."""

    def __init__(self, stream: Stream, chunks: AsyncIterator[dict[str, Any]]) -> None:
        super().__init__(events(chunks), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
        self.stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self.stream:
            await super().__call__(scope, receive, send)


async def events(chunks: AsyncIterator[dict[str, Any]]) -> AsyncIterator[str]:
    """An error is the last event, as the status has been sent by then."""
    try:
        async for chunk in chunks:
            yield event(chunk)
        yield "data: [DONE]\n\n"
    except Exception as error:
        if not isinstance(error, LlamakitError):
            log.exception("a stream failed")
        yield event(body_of_error(error))


def event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"
