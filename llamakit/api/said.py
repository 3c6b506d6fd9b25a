"""The text of one job as it is certain: up to a stop text, and nothing that may be the beginning of one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextvars import ContextVar
from dataclasses import dataclass

from llamakit.api.drawing import Enough
from llamakit.core.engine.generate import Finish, Piece
from llamakit.core.engine.scheduler import Cancelled, Ended, Event, Failed, Job, PromptScores
from llamakit.errors import LlamakitError
from llamakit.tools.chat.stop import StopTexts


@dataclass(frozen=True, slots=True)
class Said:
    """More of the text, and the tokens that have begun in it."""

    text: str
    pieces: tuple[Piece, ...] = ()


# what a call has begun to say, for whoever may want to end it
begun: ContextVar[list[Sayer] | None] = ContextVar("begun", default=None)


class Sayer:
    """Reads a job's events. At the end `finish_reason` is there, and `n_tokens` without those that ended the text."""

    def __init__(self, job: Job, eog_ids: Collection[int]) -> None:
        self.job, self.request, self._eog_ids = job, job.request, eog_ids
        self.when_said: Callable[[Sayer], None] | None = None  # called when all is said
        self.drawn: list[int] = []
        self.finish_reason: str | None = None
        self.n_tokens = 0
        self.prompt_scores: PromptScores | None = None
        self._stops = StopTexts(job.request.stop)
        self._waiting: deque[tuple[int, Piece]] = deque()  # tokens, and where they begin in the text
        self._n_heard = self._n_said = 0  # characters

    @property
    def seen(self) -> list[int]:
        """All tokens that the model has seen: not the last one drawn where nothing was to follow it."""
        n = len(self.drawn)
        is_followed = self.finish_reason == "stop" and not self._stops.is_found
        return [*self.request.tokens, *self.drawn[: n if is_followed else max(0, n - 1)]]

    def parts(self) -> Iterator[Said]:
        """More of the text; raises what went wrong. Closing the iterator cancels the job."""
        try:
            while self.finish_reason is None:
                if said := self.heard(self.job.next_event()):
                    yield said
            if self.when_said is not None:
                self.when_said(self)
        finally:
            self.job.cancel()

    def heard(self, event: Event) -> Said | None:
        """What is certain after one more event; raises what went wrong."""
        if isinstance(event, Piece):
            if event.token in self._eog_ids or self._stops.is_found:
                return None
            self.n_tokens += 1
            self.drawn.append(event.token)
            self._waiting.append((self._n_heard, event))
            return self._pushed(event.text)
        if isinstance(event, PromptScores):
            self.prompt_scores = event
        elif isinstance(event, Ended):  # half a character, `event.text`, is none of the text
            return self._ended(event.finish)
        elif isinstance(event, Failed):
            if not isinstance(event.error, Enough):
                raise event.error
            return self._ended(Finish.STOP_TEXT)
        elif isinstance(event, Cancelled):
            raise LlamakitError("the model was closed, or computes alone, before all was said")
        return None

    def _ended(self, finish: Finish) -> Said | None:
        rest = self._stops.flush()
        pieces = () if self._stops.is_found else tuple(piece for _, piece in self._waiting)
        is_said = self._stops.is_found or finish in (Finish.END_OF_TEXT, Finish.STOP_TEXT)
        self.finish_reason = "stop" if is_said else "length"
        return Said(rest, pieces) if rest or pieces else None

    def _pushed(self, text: str) -> Said | None:
        self._n_heard += len(text)
        certain = self._stops.push(text)
        self._n_said += len(certain)
        if not certain:
            return None
        pieces = []
        while self._waiting and self._waiting[0][0] < self._n_said:
            pieces.append(self._waiting.popleft()[1])
        return Said(certain, tuple(pieces))
