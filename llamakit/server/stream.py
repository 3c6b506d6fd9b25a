"""From the scheduler's thread into an event loop: a job's pieces as an async iterator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from queue import Empty

from llamakit.core.engine.generate import Piece
from llamakit.core.engine.scheduler import Event, Failed, Request, Scheduler


class Stream:
    """A job read by a task. To be made in the loop that reads; raises what `Scheduler.submit` does.

    With `async with`, the job is cancelled however the block ends: the client gone, the task cancelled, an error.
    """

    def __init__(self, scheduler: Scheduler, request: Request) -> None:
        loop, self._is_there = asyncio.get_running_loop(), asyncio.Event()

        def notify() -> None:
            loop.call_soon_threadsafe(self._is_there.set)

        self.job = scheduler.submit(request, notify)

    async def next_event(self) -> Event:
        """Wait for the job's next event; there is none after an end."""
        while True:
            self._is_there.clear()
            try:
                return self.job.next_event(0)
            except Empty:
                await self._is_there.wait()

    async def pieces(self) -> AsyncIterator[Piece]:
        """Pieces until the end, which is then `job.end`; raises what went wrong."""
        while isinstance(event := await self.next_event(), Piece):
            yield event
        if isinstance(event, Failed):
            raise event.error

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.job.cancel()
