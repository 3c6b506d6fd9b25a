"""What other threads ask of the scheduler's thread between two steps."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Errand:
    """A function to be called when a slot is idle, or at once where it is None."""

    run: Callable[[], Any]
    slot: int | None = None
    future: Future[Any] = field(default_factory=Future)

    def do(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self.run())
        except Exception as error:
            self.future.set_exception(error)
