"""The request that a task serves: what is known of it while it runs, and at its end for figures, traces and logs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from llamakit.core.engine.scheduler import Event
from llamakit.core.engine.scheduler.job import Usage

if TYPE_CHECKING:
    from llamakit.server.engine.generation import Generation


class Generated(Protocol):
    """A continuation, as `engine.Stream` is one."""

    @property
    def usage(self) -> Usage: ...

    @property
    def end(self) -> Event | None: ...

    @property
    def generation(self) -> Generation: ...


@dataclass
class RequestRecord:
    method: str
    path: str
    route: str  # the path, without what the server has in front of all its routes
    traceparent: str | None = None
    begun: float = field(default_factory=time.perf_counter)
    validated: float = 0.0  # when its first continuation was submitted; 0: none was
    status: int = 0  # 0: no reply was begun
    is_stream: bool = False
    ended: float = 0.0
    streams: list[Generated] = field(default_factory=list)

    def add(self, streams: Sequence[Generated]) -> None:
        """The engine was asked for these."""
        self.validated = self.validated or time.perf_counter()
        self.streams += streams


_current: ContextVar[RequestRecord | None] = ContextVar("request", default=None)


def current() -> RequestRecord | None:
    """The record of the request that this task serves, if it serves one."""
    return _current.get()


def set_current(record: RequestRecord) -> None:
    _current.set(record)
