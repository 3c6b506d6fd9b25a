"""Who works on the sequence of a `Llama`: one thread at a time, or one task where threads work for tasks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from llamakit.errors import UsageError

# for whom a thread works; None: for itself
caller: ContextVar[object] = ContextVar("caller", default=None)

BUSY = (
    "another thread or task is working on the sequence of this model. Wait until its call returns and its `generate` "
    "has ended or is closed, or use completions: any number of them run at once"
)


class SequenceBusy(UsageError):
    """Somebody else works on it."""


class Turns:
    """Calls and generators use the sequence; it is the last user's until a completion leaves its own there."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: object = None
        self._n_uses = 0

    @contextmanager
    def use(self) -> Iterator[None]:
        """Work on it, perhaps within another use of one's own. Raises SequenceBusy while somebody else does."""
        with self._lock:
            self._claim(0)
            self._n_uses += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_uses -= 1

    def resume(self) -> None:
        """A generator goes on, perhaps in another thread. Raises SequenceBusy where its own use is not the only one."""
        with self._lock:
            self._claim(1)

    @property
    def is_free(self) -> bool:
        """Whether nobody works on it, and it is no other's."""
        return not self._n_uses and self._owner in (None, who())

    def leave(self, change: Callable[[], None]) -> None:
        """Put something else there, which is nobody's; nothing is done while it is in use, or another's."""
        with self._lock:
            if self.is_free:
                change()
                self._owner = None

    def _claim(self, n_own: int) -> None:
        me = who()
        if self._n_uses > n_own and self._owner != me:
            raise SequenceBusy(BUSY)
        self._owner = me


def who() -> object:
    return caller.get() or threading.get_ident()
