"""What becomes of the models, told to whoever listens, in llama-server's words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from llamakit.server.sse import Event

MOST_UNREAD = 256  # events; a listener that reads none loses the oldest
EVERY_MODEL = "*"


class ModelEvents:
    """For the event loop alone."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[Event | None]] = set()

    def status(self, model: str, status: str) -> None:
        self.tell(model, "model_status", {"status": status})

    def tell(self, model: str, event: str, data: dict[str, Any] | None = None) -> None:
        self._send(Event({"model": model, "event": event} | ({} if data is None else {"data": data})))

    def end(self) -> None:
        """No more will come."""
        self._send(None)

    def _send(self, event: Event | None) -> None:
        for unread in self._listeners:
            if unread.qsize() >= MOST_UNREAD:
                unread.get_nowait()
            unread.put_nowait(event)

    async def listen(self) -> AsyncGenerator[Event, None]:
        """What is told from now on."""
        unread: asyncio.Queue[Event | None] = asyncio.Queue()
        self._listeners.add(unread)
        try:
            while (event := await unread.get()) is not None:
                yield event
        finally:
            self._listeners.discard(unread)
