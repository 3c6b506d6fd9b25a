"""When a text ends by what it says: stop texts, time, lines that are indented less."""

from __future__ import annotations

import time

from llamakit.core.engine.generate import Finish
from llamakit.core.engine.scheduler.request import Request


class Ending:
    """Reads one text as it comes."""

    def __init__(self, request: Request) -> None:
        self.stop, self.at_ends = request.stop, request.stops_at_ends
        self.n_indent, self.seconds = request.n_indent, request.t_max_predict
        self.longest = max(map(len, self.stop), default=0)
        self.seen = ""  # the end of the text, in which stop texts are looked for
        self.has_new_line = False
        self.indent: int | None = None  # spaces and tabs so far of a new line of which nothing else is there yet
        self.started = 0.0

    def after(self, text: str) -> Finish | None:
        """Whether the text ends, now that some more of it is there."""
        if not self.started:
            self.started = time.perf_counter()
        if self.stop and self.has_stopped(text):
            return Finish.STOP_TEXT
        if self.n_indent and self.is_indented_less(text):
            return Finish.INDENTED_LESS
        self.has_new_line = self.has_new_line or "\n" in text
        if self.seconds and self.has_new_line and time.perf_counter() - self.started > self.seconds:
            return Finish.TIME_UP
        return None

    def has_stopped(self, text: str) -> bool:
        self.seen += text
        is_found = self.seen.endswith(self.stop) if self.at_ends else any(stop in self.seen for stop in self.stop)
        self.seen = self.seen[-self.longest :]
        return is_found

    def is_indented_less(self, text: str) -> bool:
        """Whether a new line begins with too few spaces or tabs; empty ones do not count."""
        for char in text:
            if char == "\n":
                self.indent = 0
            elif self.indent is not None and char in " \t":
                self.indent += 1
            elif self.indent is not None:
                if self.indent < self.n_indent:
                    return True
                self.indent = None
        return False
