"""A line to type in, with editing, history and completion of the commands."""

from __future__ import annotations

import sys
import termios
from collections.abc import Iterable, Sequence
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.styles import Style

from llamakit.cli.chat.input import PROMPT, read_ending, submitting


class LineEditor:
    r"""Enter submits, `\` and Enter begin a new line; with `is_multiline` it is the other way round.

    Pasted text keeps its lines; Alt-Enter does what Enter does not. Ctrl-C empties the line, or leaves an empty one.
    """

    is_editor = is_echoed = True

    def __init__(self, is_multiline: bool, has_colour: bool, words: Sequence[str], history: Path | None) -> None:
        self.is_multiline, self.hint = is_multiline, submitting(is_multiline)
        self.session: PromptSession[str] = PromptSession(
            history=open_history(history),
            multiline=True,
            key_bindings=self.bindings(),
            completer=CommandCompleter(words),
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,
            reserve_space_for_menu=0,
            style=Style.from_dict({"": "bold ansigreen"} if has_colour else {}),
            include_default_pygments_style=False,
            prompt_continuation=lambda width, line_number, wraps: " " * width,
        )

        self.before = termios.tcgetattr(sys.stdin)
        quiet = termios.tcgetattr(sys.stdin)
        quiet[3] &= ~(termios.ECHO | termios.ICANON)  # keys that come during an answer wait, unseen, for the next line
        termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)

    def close(self) -> None:
        """Leave the terminal as it was found."""
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self.before)

    def read(self, prompt: str = PROMPT, text: str = "") -> str:
        return self.session.prompt(prompt, default=text)

    def read_all(self) -> str:
        return self.read()

    def bindings(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("enter")
        def _(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            before, newline, line = buffer.text.rpartition("\n")
            if not buffer.document.is_cursor_at_the_end:
                ending, goes_on = "", self.is_multiline
            else:
                ending, goes_on = read_ending(line, self.is_multiline)
                buffer.text = before + newline + ending.removesuffix("\n")
                buffer.cursor_position = len(buffer.text)
            if goes_on:
                buffer.insert_text("\n")
            else:
                buffer.validate_and_handle()

        @keys.add("escape", "enter")
        def _(event: KeyPressEvent) -> None:
            if self.is_multiline:
                event.current_buffer.validate_and_handle()
            else:
                event.current_buffer.insert_text("\n")

        @keys.add("c-c")
        def _(event: KeyPressEvent) -> None:
            if event.current_buffer.text:
                event.current_buffer.reset()
            else:
                get_app().exit(exception=KeyboardInterrupt, style="class:exiting")

        return keys


class CommandCompleter(Completer):
    """Completes the first word to a command, and what follows one to the path of a file."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words, self.paths = words, PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        word, space, rest = text.partition(" ")
        if space and word in self.words:
            yield from self.paths.get_completions(Document(rest), complete_event)
        elif word.startswith("/") and not space:
            yield from (Completion(name, start_position=-len(text)) for name in self.words if name.startswith(text))


def open_history(path: Path | None) -> History:
    """Lines typed before, from a file that only its owner may read; none where it cannot be written."""
    if path is None:
        return InMemoryHistory()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.open("ab").close()
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))
