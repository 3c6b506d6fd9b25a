"""Streams that go on when their readers go, as llama-server keeps those of a conversation: they are read on later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

from llamakit.server.sse import EventStream

HEADER = "x-conversation-id"
LONGEST_ID = 256
LONGEST = 4 << 20  # bytes of a stream; the first ones are dropped for more
MOST = 64  # streams
KEPT = 600.0  # seconds after the end


class KeptStream:
    """What was sent so far, and a task that makes more of it, whether anybody reads or not."""

    def __init__(self, conversation: str, stream: EventStream) -> None:
        self.conversation, self.stream = conversation, stream
        self.data, self.n_dropped = bytearray(), 0
        self.started, self.completed = time.time(), 0.0  # Unix time; 0: it goes on
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            await self.stream.write(self._take)
        finally:
            await self.stream.events.aclose()
            self.completed = time.time()
            self._tell()

    async def _take(self, message: Any) -> None:
        self.data += message.get("body", b"")
        if (n_over := len(self.data) - LONGEST) > 0:
            del self.data[:n_over]
            self.n_dropped += n_over
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def n_bytes(self) -> int:
        return self.n_dropped + len(self.data)

    async def read(self, offset: int) -> AsyncGenerator[bytes, None]:
        """From an offset to the end, which is waited for. Ends early for a reader that is too slow."""
        while offset >= self.n_dropped:
            changed, is_complete = self._changed, bool(self.completed)
            if part := bytes(self.data[offset - self.n_dropped :]):
                offset += len(part)
                yield part
            elif is_complete:
                return
            else:
                await changed.wait()

    def cancel(self) -> None:
        self._task.cancel()


class KeptStreams:
    """By tenant, so that nobody reads what belongs to another API key, and by conversation: each has one."""

    def __init__(self) -> None:
        self._streams: dict[tuple[str, str], KeptStream] = {}

    def keep(self, tenant: str, conversation: str, stream: EventStream) -> KeptStream | None:
        """In place of the conversation's last one. None: there are too many that go on already."""
        self.drop(tenant, conversation)
        self._sweep(n_new=1)
        if len(self._streams) >= MOST:
            return None
        kept = self._streams[tenant, conversation] = KeptStream(conversation, stream)
        return kept

    def find(self, tenant: str, conversation: str) -> KeptStream | None:
        self._sweep()
        return self._streams.get((tenant, conversation))

    def of(self, tenant: str, conversation: str) -> list[KeptStream]:
        """A conversation's, and those of its kin by the name of a model: `conversation::model`."""
        self._sweep()
        return [
            kept
            for (owner, name), kept in self._streams.items()
            if owner == tenant and (name == conversation or name.startswith(f"{conversation}::"))
        ]

    def drop(self, tenant: str, conversation: str) -> None:
        """End it, and forget what it said."""
        if (kept := self._streams.pop((tenant, conversation), None)) is not None:
            kept.cancel()

    def close(self) -> None:
        for tenant, conversation in [*self._streams]:
            self.drop(tenant, conversation)

    def _sweep(self, n_new: int = 0) -> None:
        """Forget those that ended long ago, and the oldest of them where there are too many."""
        ended = sorted((key for key, kept in self._streams.items() if kept.completed), key=self._ended)
        now, n_over = time.time(), len(self._streams) + n_new - MOST
        for i, key in enumerate(ended):
            if i < n_over or self._ended(key) < now - KEPT:
                del self._streams[key]

    def _ended(self, key: tuple[str, str]) -> float:
        return self._streams[key].completed
