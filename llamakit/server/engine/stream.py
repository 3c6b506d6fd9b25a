"""One continuation, read by a task."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from llamakit.core.engine.generate import Piece
from llamakit.core.engine.scheduler import Cancelled, Ended, Event, Failed, Usage
from llamakit.server.engine.generation import Generation

if TYPE_CHECKING:
    from llamakit.server.generation.fields import CompletionFields

WINDOW = 1024  # events that may be under way or unread; then the engine waits for the reader
REPORT = WINDOW // 4  # events read, before the engine hears of it


class Stream:
    """Events of one continuation. `usage` is that of the last event, `end` is None until the last event has come.

    With `async with`, it is cancelled however the block ends: the client gone, the task cancelled, an error.
    """

    def __init__(
        self, id: int, generation: Generation, cancel: Callable[[int], None], report: Callable[[int, int], None]
    ) -> None:
        self.id, self.generation = id, generation
        self.usage = Usage(len(generation.tokens))
        self.end: Ended | Failed | Cancelled | None = None
        self.fields: CompletionFields | None = None  # as llama-server names what was asked for
        self._cancel, self._report = cancel, report
        self._unread: deque[Event] = deque()
        self._n_read = 0
        self._waiter: asyncio.Future[None] | None = None

    async def events(self) -> AsyncIterator[Event]:
        """Pieces and the like, as they come; the last event is the end."""
        unread = self._unread
        while True:
            while unread:
                event = unread.popleft()
                yield event
                if event is self.end:
                    return
                self._n_read += 1
                if self._n_read == REPORT:
                    self._report(self.id, self._n_read)
                    self._n_read = 0
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    async def pieces(self) -> AsyncIterator[Piece]:
        """Only the pieces, up to the end, which is then `end`; raises what went wrong."""
        async for event in self.events():
            if isinstance(event, Piece):
                yield event
            elif isinstance(event, Failed):
                raise event.error

    @property
    def n_unread(self) -> int:
        return len(self._unread)

    def cancel(self) -> None:
        """End it within a step. Nothing happens when it has ended."""
        if self.end is None:
            self._cancel(self.id)

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()

    # the engine's side
    def push(self, event: Event) -> None:
        if isinstance(event, Piece):
            self.usage.n_drawn += 1
        elif isinstance(event, Ended | Failed | Cancelled):
            self.end = event
        self._unread.append(event)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def update(self, usage: Usage) -> None:
        """What the engine says of the events so far; until the end, the pieces that came here are counted here."""
        if self.end is None:
            usage.n_drawn = self.usage.n_drawn
        self.usage = usage
