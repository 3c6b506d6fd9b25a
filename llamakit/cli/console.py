"""What the commands show on a terminal: progress bars, colour, notes. Nothing of it reaches a pipe."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from shutil import get_terminal_size
from typing import Any, TextIO

Report = Callable[[str, int, int], None]  # stage, done, total

PATIENCE = 0.2  # seconds before a bar appears: what is quicker needs none


def is_terminal(stream: TextIO | None) -> bool:
    """A screen that understands cursor movement and colour."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def has_colour(wanted: str, stream: TextIO | None) -> bool:
    """--color: on forces it, auto asks whether a person looks who has not set NO_COLOR."""
    return wanted == "on" or (wanted == "auto" and is_terminal(stream) and "NO_COLOR" not in os.environ)


def log(message: str) -> None:
    """A line for the person, not for the pipe."""
    print(message, file=sys.stderr)


@contextmanager
def progress(enabled: bool = True) -> Iterator[Report | None]:
    """A function that draws one bar a stage on stderr; None where stderr is no terminal."""
    if not enabled or not is_terminal(sys.stderr):
        yield None
        return
    bars = Bars()
    try:
        yield bars.report
    finally:
        bars.close()


class Bars:
    """At most one bar at a time: a new stage replaces the old."""

    def __init__(self) -> None:
        self.stage = ""
        self.bar: Any = None
        self.began = time.monotonic()

    def report(self, stage: str, done: int, total: int) -> None:
        """`total` 0 means that nobody knows it."""
        if time.monotonic() - self.began < PATIENCE:
            return
        if stage != self.stage:
            self.close()
            self.stage = stage
            self.bar = self.make(stage, total)
        if self.bar is not None:
            self.bar.update(done - self.bar.n)
            if done >= total > 0:
                self.close()

    def make(self, stage: str, total: int) -> Any:
        from tqdm import tqdm

        unit = {"unit": "B", "unit_scale": True, "unit_divisor": 1024} if total >= 1 << 20 else {}
        width = get_terminal_size().columns  # 80 where the terminal does not know its own
        return tqdm(total=total or None, desc=stage, leave=False, file=sys.stderr, ncols=width, **unit)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
