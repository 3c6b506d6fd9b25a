"""Answers as formatted text: the block that is being written is drawn anew with each piece, those before it stay."""

from __future__ import annotations

import re

from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown

FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
REDRAWS_PER_SECOND = 12


class MarkdownSink:
    """Shows Markdown on stdout while it grows.

    Only the last block (a paragraph, a list, a fenced code) can still change its looks, so only that is redrawn: an
    answer longer than the screen scrolls as any other text.
    """

    def __init__(self, has_colour: bool) -> None:
        self.console = Console(no_color=not has_colour, highlight=False)
        self.text = ""  # of the blocks that are not printed for good
        self.live: Live | None = None
        self.has_printed = False

    def push(self, text: str) -> None:
        self.text += text
        done = end_of_blocks(self.text)
        if done:
            self._print(self.text[:done])
            self.text = self.text[done:]
        if self.text.strip():
            self._draw()

    def finish(self) -> None:
        self._print(self.text)
        self.text = ""

    def _draw(self) -> None:
        if self.live is None:
            self.live = Live(
                console=self.console,
                auto_refresh=False,
                transient=True,
                vertical_overflow="crop",
                refresh_per_second=REDRAWS_PER_SECOND,
            )
            self.live.start()
        self.live.update(Markdown(self.text), refresh=True)

    def _print(self, text: str) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None
        if text.strip():
            if self.has_printed:
                self.console.print()
            self.console.print(Markdown(text))
            self.has_printed = True


def end_of_blocks(text: str) -> int:
    """Where the last whole block ends: behind the last empty line outside of fenced code; 0 if there is none."""
    end = place = 0
    fence = ""
    for line in text.splitlines(keepends=True):
        place += len(line)
        if match := FENCE.match(line):
            if not fence:
                fence = match[1]
            elif match[1].startswith(fence) and not line.strip(" \n`~"):
                fence = ""
        elif not fence and not line.strip() and line.endswith("\n"):
            end = place
    return end
