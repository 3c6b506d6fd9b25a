"""What a stream says, as text that is certain: up to a stop text, and nothing that may be the beginning of one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from llamakit.core.engine.generate import Finish, Piece
from llamakit.core.engine.scheduler import Ended, Failed, Prefilled, PromptScores, SchedulerClosed
from llamakit.core.engine.scheduler.job import Usage
from llamakit.server.engine.stream import Stream
from llamakit.tools.chat.stop import StopTexts

T = TypeVar("T")
SAID_ALL = (Finish.END_OF_TEXT, Finish.STOP_TEXT)


@dataclass(frozen=True, slots=True)
class Said:
    """More of the text, and the tokens that have begun in it."""

    text: str
    pieces: tuple[Piece, ...] = ()


class Answer:
    """The text of one stream. When it has ended, `finish` says why, and `stop_text` which stop text was found.

    hidden: tokens that are no part of it, as those that end it where special tokens are shown.
    """

    def __init__(self, stream: Stream, hidden: Collection[int] = ()) -> None:
        self.stream, self.hidden = stream, hidden
        self.finish: Finish | None = None
        self.stop_text: str | None = None
        self.prompt_scores: PromptScores | None = None
        self._stops = StopTexts(stream.generation.stop)
        self._waiting: deque[tuple[int, Piece]] = deque()  # tokens, and where they begin in the text
        self._n_heard = self._n_said = 0  # characters

    @property
    def usage(self) -> Usage:
        return self.stream.usage

    @property
    def is_complete(self) -> bool:
        """Whether the model came to an end, or to a stop text."""
        return self.finish in SAID_ALL

    async def parts(self) -> AsyncIterator[Said | Prefilled]:
        """More of the text, and how far the prompt has come where that was asked for.

        Raises what went wrong, SchedulerClosed when the server ends.
        """
        async for event in self.stream.events():
            if isinstance(event, Piece):
                if event.token in self.hidden:
                    continue
                self._waiting.append((self._n_heard, event))
                if said := self._push(event.text):
                    yield said
            elif isinstance(event, Prefilled):
                yield event
            elif isinstance(event, PromptScores):
                self.prompt_scores = event
            elif isinstance(event, Ended):
                rest = self._push(event.text)
                self.finish = Finish.STOP_TEXT if self._stops.is_found else event.finish
                last = self._last()
                if rest or last.text or last.pieces:
                    first = rest or Said("")
                    yield Said(first.text + last.text, first.pieces + last.pieces)
            elif isinstance(event, Failed):
                raise event.error
            else:
                raise SchedulerClosed("the server ends")

    async def whole(self) -> Said:
        """All of it."""
        parts = [part async for part in self.parts() if isinstance(part, Said)]
        return Said("".join(part.text for part in parts), tuple(piece for part in parts for piece in part.pieces))

    def _push(self, text: str) -> Said | None:
        if self._stops.is_found:
            return None
        held = self._stops.held
        self._n_heard += len(text)
        certain = self._stops.push(text)
        if self._stops.is_found:
            rest = (held + text)[len(certain) :]
            self.stop_text = next(stop for stop in self._stops.stops if rest.startswith(stop))
        return self._said(certain) if certain else None

    def _said(self, text: str) -> Said:
        self._n_said += len(text)
        pieces = []
        while self._waiting and self._waiting[0][0] < self._n_said:
            pieces.append(self._waiting.popleft()[1])
        return Said(text, tuple(pieces))

    def _last(self) -> Said:
        """What was held back. Tokens of a stop text are no part of the answer."""
        text = self._stops.flush()
        self._n_said += len(text)
        pieces = () if self._stops.is_found else tuple(piece for _, piece in self._waiting)
        self._waiting.clear()
        return Said(text, pieces)


async def merged(sources: Sequence[AsyncIterator[T]]) -> AsyncIterator[tuple[int, T]]:
    """Items of several sources as they come, each with the number of its source; raises what the first one raises."""
    if len(sources) == 1:
        async for item in sources[0]:
            yield 0, item
        return
    queue: asyncio.Queue[tuple[int, T] | Exception | None] = asyncio.Queue(len(sources))

    async def pump(number: int) -> None:
        try:
            async for item in sources[number]:
                await queue.put((number, item))
            await queue.put(None)
        except Exception as error:
            await queue.put(error)

    tasks = [asyncio.create_task(pump(number)) for number in range(len(sources))]
    try:
        n_left = len(sources)
        while n_left:
            got = await queue.get()
            if isinstance(got, Exception):
                raise got
            if got is None:
                n_left -= 1
            else:
                yield got
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
