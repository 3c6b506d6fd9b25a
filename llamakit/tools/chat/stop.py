"""Texts that end an answer, found as it grows."""

from __future__ import annotations

from collections.abc import Sequence


class StopTexts:
    """Lets text through until one of `stops` begins; what may be the beginning of one is held back.

    `is_found` then says that the answer has ended; the stop text itself and what follows never come out.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self.stops = [stop for stop in stops if stop]
        self.held = ""
        self.is_found = False

    def push(self, text: str) -> str:
        """The text that is now known to belong to the answer."""
        if self.is_found:
            return ""
        text = self.held + text
        places = [place for stop in self.stops if (place := text.find(stop)) >= 0]
        if places:
            self.held, self.is_found = "", True
            return text[: min(places)]
        n_held = max((beginning(text, stop) for stop in self.stops), default=0)
        self.held = text[len(text) - n_held :]
        return text[: len(text) - n_held]

    def flush(self) -> str:
        """What was held back, when no more text comes."""
        held, self.held = self.held, ""
        return held


def beginning(text: str, stop: str) -> int:
    """How many characters at the end of `text` are the beginning of `stop`."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)
