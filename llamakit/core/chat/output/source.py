"""The text of a model as it comes, and the ways to read it.

Readers are generators: they yield where they need more text, and return what they read. What they decide depends on
the text alone, never on how it was cut into pieces; so everything they keep is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]
Emit = Callable[[str], None]

MOST_KEPT = 4096  # characters to which a reader may come back
MOST_NAME = 256  # characters of a name, an id or the attributes of a tag
BLANKS = re.compile(r"[ \t\r\n]*")


class NotACall(Exception):
    """What was taken for a call is none, or goes on as no call does."""


class Cut(NotACall):
    """The text ends where a call could have gone on."""


class Markers:
    """Texts to look for. None of them is missed when it comes in pieces."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = tuple(sorted({text for text in texts if text}, key=len, reverse=True))
        self.longest = max(map(len, self.texts), default=0)
        begun = sorted({text[:n] for text in self.texts for n in range(1, len(text))}, key=len, reverse=True)
        self.whole = re.compile("|".join(map(re.escape, self.texts)) or r"(?!)")
        self.begun = re.compile(f"(?:{'|'.join(map(re.escape, begun))})\\Z" if begun else r"(?!)")


@lru_cache(512)
def markers(*texts: str) -> Markers:
    return Markers(texts)


class Source:
    """Text that is still coming. `at` is where the reader is; `kept` is where it may come back to."""

    def __init__(self) -> None:
        self.text, self.at = "", 0
        self.kept: int | None = None
        self.is_over = False

    def feed(self, text: str) -> None:
        start = self.at if self.kept is None else self.kept
        self.text = self.text[start:] + text
        self.at -= start
        if self.kept is not None:
            self.kept = 0

    def keep(self) -> None:
        """From here on, the reader may come back."""
        self.kept = self.at

    def release(self) -> None:
        """The reader will not come back."""
        self.kept = None

    def go_back(self) -> bool:
        """To where `keep` was, if that still holds."""
        if self.kept is None:
            return False
        self.at, self.kept = self.kept, None
        return True

    def move(self, n: int) -> str:
        """The next n characters, which are there. Raises NotACall when too many are kept."""
        text = self.text[self.at : self.at + n]
        self.at += n
        if self.kept is not None and self.at - self.kept > MOST_KEPT:
            raise NotACall
        return text

    def unread(self, text: str) -> None:
        """What was read last, with nothing asked for since, is to be read again."""
        self.at -= len(text)

    @property
    def next(self) -> str:
        """The next character, if it is there already."""
        return self.text[self.at : self.at + 1]

    def peek(self, n: int = 1) -> Steps[str]:
        """The next n characters, not yet read; fewer at the end of the text."""
        while len(self.text) - self.at < n and not self.is_over:
            yield
        return self.text[self.at : self.at + n]

    def take(self, *texts: str) -> Steps[str]:
        """The longest of the texts that comes next, read; "" if none does. At the very end, half of one will do."""
        sought = markers(*texts)
        while True:
            rest = self.text[self.at : self.at + sought.longest]
            is_open = any(text.startswith(rest) and text != rest for text in sought.texts)
            if self.is_over or not is_open:
                break
            yield
        for text in sought.texts:
            if rest.startswith(text) or (rest and self.is_over and text.startswith(rest)):
                self.move(min(len(text), len(rest)))
                return text
        return ""

    def comes(self, *texts: str) -> Steps[str]:
        """The longest of the texts that comes next, not read; "" if none does."""
        sought = markers(*texts)
        for n in range(1, sought.longest + 1):
            rest = yield from self.peek(n)
            if not any(text.startswith(rest) for text in sought.texts) or len(rest) < n:
                break
        rest = self.text[self.at : self.at + sought.longest]
        return next((text for text in sought.texts if rest.startswith(text)), "")

    def begins(self, *texts: str) -> bool:
        """Whether all that is left is how one of the texts begins."""
        rest = self.text[self.at :]
        return any(text.startswith(rest) for text in texts)

    def run(self, pattern: re.Pattern[str], emit: Emit | None = None) -> Steps[None]:
        """All characters of a set: `pattern` matches any number of them."""
        while True:
            found = pattern.match(self.text, self.at)
            text = self.move(found.end() - self.at) if found else ""
            if text and emit is not None:
                emit(text)
            if self.at < len(self.text) or self.is_over:
                return
            yield

    def blanks(self, emit: Emit | None = None) -> Steps[None]:
        """Spaces and line ends, if any."""
        yield from self.run(BLANKS, emit)

    def until(self, *texts: str, most: int = MOST_NAME) -> Steps[str]:
        """The text before the first of these texts, read. With more than `most` characters nothing is: NotACall."""
        sought = markers(*texts)
        while True:
            found, end = self.look(sought)
            if end - self.at > most:
                raise NotACall
            if found:
                return self.move(end - self.at)
            if self.is_over:
                raise Cut
            yield

    def stream(self, sought: Markers, emit: Emit, keeps_half: bool = False) -> Steps[str]:
        """Passes on the text before the first of these texts, as it comes; returns that one, "" at the end.

        keeps_half: what may be the begin of one of them is not passed on at the end.
        """
        while True:
            found, end = self.look(sought, keeps_half)
            if end > self.at:
                emit(self.move(end - self.at))
            if found or self.is_over:
                return found
            yield

    def look(self, sought: Markers, may_go_on: bool = False) -> tuple[str, int]:
        """A marker and its place; or "" and the place before which none begins, if the text is not over."""
        found = sought.whole.search(self.text, self.at)
        last = max(self.at, len(self.text) - sought.longest + 1)
        begun = None if self.is_over and not may_go_on else sought.begun.search(self.text, last)
        if found and (begun is None or self.is_over or begun.start() > found.start()):
            return found.group(), found.start()
        return "", begun.start() if begun else len(self.text)
