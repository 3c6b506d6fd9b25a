"""A request on its way: its events in one direction, cancelling in the other."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING

from llamakit.core.engine.generate import Piece
from llamakit.core.engine.scheduler.event import Cancelled, Embedded, End, Ended, Event, Failed
from llamakit.core.engine.scheduler.request import EmbeddingRequest, Request
from llamakit.errors import LlamakitError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from llamakit.core.engine.scheduler.ending import Ending

    Floats = npt.NDArray[np.float32]

log = logging.getLogger(__name__)

MOST_UNREAD = 1024  # events that wait for their reader; then the job does
ENDS = (Ended, Failed, Cancelled)


class JobCancelled(LlamakitError):
    """Nothing more comes of this job."""


@dataclass(slots=True)
class Usage:
    """Tokens of a job, and when what happened (`time.perf_counter`; 0: not yet). Any thread may look."""

    n_prompt: int
    n_cached: int = 0  # of the prompt, not computed again
    n_drawn: int = 0
    submitted: float = field(default_factory=time.perf_counter)
    started: float = 0.0
    first_drawn: float = 0.0
    ended: float = 0.0
    n_prefilled: int = 0  # of the prompt, in the cache by now
    miss_reason: str = ""  # why not more was there; empty where all was that could be
    n_drafted: int = 0  # tokens that were guessed
    n_accepted: int = 0  # and were right


class AnyJob:
    """What the scheduler works on; one thread at a time may read its events.

    `end` is None until the last event is there. `slot` is the one that serves it. `notify` is called by the scheduler's
    thread after each event: it must not block; when it raises, nobody listens any more, and the job is cancelled.
    With `tells_at_end` the events come all at once, the last one with them: a thread wakes for each text, not for each
    token.
    """

    request: Request | EmbeddingRequest
    tells_at_end = False

    def __init__(
        self, tokens: Sequence[int], number: int, wake: Callable[[], None], notify: Callable[[], None] | None = None
    ) -> None:
        self.tokens, self.number = tokens, number  # older jobs have lower numbers
        self.usage = Usage(len(tokens))
        self.slot: int | None = None
        self.end: End | None = None
        self.is_cancelled = False
        self._held: list[Event] = []  # until the end
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._wake, self._notify = wake, notify

    def cancel(self) -> None:
        """End it within one step. From any thread; nothing happens when it has ended."""
        if self.end is None and not self.is_cancelled:
            self.is_cancelled = True
            self._wake()

    def next_event(self, timeout: float | None = None) -> Event:
        """Wait for the next event. Raises queue.Empty after `timeout` seconds; there is none after an end."""
        event = self._events.get(timeout=timeout)
        if self._events.qsize() == MOST_UNREAD - 1:
            self._wake()
        return event

    @property
    def has_news(self) -> bool:
        """Whether an event is there already; for the one who reads them."""
        return not self._events.empty()

    def events(self) -> Iterator[Event]:
        """Events before the end, as they come; raises what went wrong. Closing the iterator cancels."""
        try:
            while not isinstance(event := self.next_event(), ENDS):
                yield event
            if isinstance(event, Failed):
                raise event.error
        finally:
            self.cancel()

    # the scheduler's side
    @property
    def is_stalled(self) -> bool:
        """Whether its reader lags so far behind that nothing more is drawn for now."""
        return self._events.qsize() >= MOST_UNREAD

    def tell(self, event: Event) -> None:
        if isinstance(event, ENDS):
            self.usage.ended = time.perf_counter()
            self.end = event
        elif self.tells_at_end:
            self._held.append(event)
            return
        for held in self._held:
            self._events.put(held)
        self._events.put(event)
        if self._notify is not None:
            try:
                self._notify()
            except Exception:  # nobody can hear of it any more, as when an event loop has closed
                log.warning("a request is cancelled: its reader cannot be told of its tokens", exc_info=True)
                self._notify, self.is_cancelled = None, True


class Job(AnyJob):
    """What `Scheduler.submit` gives: a text that is continued."""

    request: Request

    def __init__(
        self, request: Request, number: int, wake: Callable[[], None], notify: Callable[[], None] | None = None
    ) -> None:
        super().__init__(request.tokens, number, wake, notify)
        self.request, self.tells_at_end = request, request.tells_at_end
        self.ending: Ending | None = None  # what reads its text, once it is served

    def pieces(self) -> Iterator[Piece]:
        """Pieces as they are drawn, until the end; raises what went wrong. Closing the iterator cancels."""
        try:
            yield from (event for event in self.events() if isinstance(event, Piece))
        finally:
            self.cancel()


class EmbeddingJob(AnyJob):
    """What `Scheduler.submit_embedding` gives."""

    request: EmbeddingRequest

    def __init__(
        self, request: EmbeddingRequest, number: int, wake: Callable[[], None], notify: Callable[[], None] | None = None
    ) -> None:
        super().__init__(request.tokens, number, wake, notify)
        self.request = request

    def vector(self) -> Floats:
        """Wait for the vector; raises what went wrong, JobCancelled when it was cancelled.

        float32 (width,), or (n_tokens, width) without pooling.
        """
        for event in self.events():
            if isinstance(event, Embedded):
                return event.vector
        raise JobCancelled("the text was given up before it had a vector")
