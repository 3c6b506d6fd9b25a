"""What the person types: from an edited line on a terminal, or from plain lines of a file or a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from llamakit.cli.chat.screen import Screen

PROMPT = "> "


class Input(Protocol):
    """One message after the other.

    `is_editor`: draws the line it begins on. `is_echoed`: what is typed is seen, and leaves the cursor on a new line.
    """

    is_editor: bool
    is_echoed: bool
    hint: str  # how to submit

    def read(self, prompt: str = PROMPT, text: str = "") -> str:
        """The next message, `text` offered for editing. Raises EOFError at the end, KeyboardInterrupt to leave."""
        ...

    def read_all(self) -> str:
        """All that comes, as one message; from a person that is what they submit."""
        ...

    def close(self) -> None: ...


class PlainInput:
    """Lines of a stream. The prompt is shown only where a person sees it."""

    is_editor = False

    def __init__(self, stream: TextIO | None, is_multiline: bool, show: Callable[[str], None] | None) -> None:
        self.stream, self.is_multiline, self.show = stream, is_multiline, show
        self.is_echoed = show is not None
        self.hint = submitting(is_multiline)

    def read(self, prompt: str = PROMPT, text: str = "") -> str:
        if self.show is not None:
            self.show(prompt)
        message, goes_on = "", True
        while goes_on:
            line = self.stream.readline() if self.stream is not None else ""
            if not line:
                if message:
                    break
                raise EOFError
            line, goes_on = read_ending(line.removesuffix("\n").removesuffix("\r"), self.is_multiline)
            message += line
        return message.removesuffix("\n")

    def read_all(self) -> str:
        return self.stream.read().removesuffix("\n") if self.stream is not None else ""

    def close(self) -> None:
        pass


def submitting(is_multiline: bool) -> str:
    """How to submit, in words."""
    if is_multiline:
        return r"Enter begins a new line, a line that ends with \ or / submits"
    return r"Enter submits, a line that ends with \ goes on"


def read_ending(line: str, is_multiline: bool) -> tuple[str, bool]:
    r"""A line with its newline, and whether the message goes on behind it.

    llama.cpp's rules: `/` at the end of a line submits it without a newline, `\` turns round what Enter does.
    """
    if line.endswith("/"):
        return line[:-1], False
    if line.endswith("\\"):
        return line[:-1] + "\n", not is_multiline
    return line + "\n", is_multiline


def open_input(
    is_multiline: bool, is_simple: bool, screen: Screen, words: Sequence[str] = (), history: Path | None = None
) -> Input:
    """Line editing where a person sits at a terminal that can do it, plain lines elsewhere."""
    is_person = sys.stdin is not None and sys.stdin.isatty()
    if not is_person or is_simple or not screen.can_move:
        if hasattr(sys.stdin, "reconfigure"):
            sys.stdin.reconfigure(encoding="utf-8", errors="replace")
        ask = screen.put if screen.is_terminal else on_stderr
        return PlainInput(sys.stdin, is_multiline, ask if is_person else None)
    from llamakit.cli.chat.editor import LineEditor

    return LineEditor(is_multiline, screen.has_colour, words, history)


def on_stderr(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)


def history_file() -> Path | None:
    """Where lines are remembered: by the XDG rules, with what programs keep but nobody would miss much."""
    base = os.environ.get("XDG_STATE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".local" / "state") / "llamakit" / "chat_history"
    except RuntimeError:  # no home
        return None
