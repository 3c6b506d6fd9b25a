"""What a conversation looks like: answers as they come, thinking dimmed, notes. Escape codes only on a terminal."""

from __future__ import annotations

import sys
from shutil import get_terminal_size
from typing import Protocol

from llamakit.cli.console import has_colour, is_terminal, log
from llamakit.core.engine.generate import Finish
from llamakit.tools.chat.events import Delta, Event, Notice, Turn

PLAIN, DIM, RED, YELLOW, GREEN = "\x1b[0m", "\x1b[2m", "\x1b[31m", "\x1b[33m", "\x1b[1;32m"
ERASE_LINE = "\r\x1b[K"


class Sink(Protocol):
    """Where the text of an answer goes."""

    def push(self, text: str) -> None: ...

    def finish(self) -> None: ...


class Screen:
    """Shows one answer after the other. Answers go to stdout; where it is no terminal, nothing else does."""

    def __init__(
        self,
        color: str = "auto",
        shows_timings: bool = True,
        is_quiet: bool = False,
        markdown: bool = False,
        shows_thinking: bool | None = None,
    ) -> None:
        self.is_terminal = sys.stdout is not None and sys.stdout.isatty()
        self.can_move = is_terminal(sys.stdout)
        self.has_colour = has_colour(color, sys.stdout)
        self.shows_timings, self.is_quiet, self.markdown = shows_timings, is_quiet, markdown and self.can_move
        self.shows_thinking = self.is_terminal if shows_thinking is None else shows_thinking
        self.is_thinking = self.has_status = False
        self.line = ""  # what stands on the line that the cursor is in
        self.sink: Sink | None = None

    # text
    def put(self, text: str, style: str = "") -> None:
        """Text as it is, at once."""
        if sys.stdout is None or not text:
            return
        self.clear_status()
        sys.stdout.write(self.styled(style, text))
        sys.stdout.flush()
        self.line = (self.line + text).rpartition("\n")[2]

    def styled(self, style: str, text: str) -> str:
        return f"{style}{text}{PLAIN}" if style and self.has_colour else text

    def fresh_line(self) -> None:
        if self.line:
            self.put("\n")

    def take_line(self) -> str:
        """What stands on this line, for an editor that writes it anew; the cursor goes where it begins."""
        line, self.line = self.line, ""
        if len(line) >= get_terminal_size().columns // 2:  # wide characters take two places
            self.put("\n")
            return ""
        self.put("\r")
        self.line = ""
        return line

    def status(self, text: str) -> None:
        """A line that the next text replaces."""
        if self.can_move and sys.stdout is not None:
            self.fresh_line()
            sys.stdout.write(ERASE_LINE + self.styled(DIM, text))
            sys.stdout.flush()
            self.has_status = True

    def clear_status(self) -> None:
        if self.has_status and sys.stdout is not None:
            sys.stdout.write(ERASE_LINE)
        self.has_status = False

    def info(self, text: str, style: str = DIM) -> None:
        """A note to the person: never part of what a pipe gets."""
        if self.is_terminal:
            self.fresh_line()
            self.put(text + "\n", style)
        elif not self.is_quiet:
            log(text)

    def error(self, text: str) -> None:
        if self.is_terminal:
            self.info(f"error: {text}", RED)
        else:
            log(f"error: {text}")

    # answers
    def show(self, event: Event) -> None:
        if isinstance(event, Delta):
            self.delta(event.text, event.is_thinking)
        elif isinstance(event, Notice):
            self.info(event.text, YELLOW)
        else:
            self.status(f"reading {event.n_done} of {event.n_total} tokens")

    def delta(self, text: str, is_thinking: bool) -> None:
        if not text:
            return
        if is_thinking and not self.shows_thinking:
            self.status("thinking ...")
            return
        if is_thinking != self.is_thinking:
            self.is_thinking = is_thinking
            self.put("[thinking]\n" if is_thinking else "\n[answer]\n", DIM)
        if is_thinking:
            self.put(text, DIM)
        elif self.markdown:
            self.sink = self.sink or self.new_sink()
            self.sink.push(text)
        else:
            self.put(text)

    def new_sink(self) -> Sink:
        from llamakit.cli.chat.markdown import MarkdownSink

        return MarkdownSink(self.has_colour)

    def finish(self) -> None:
        """The events of an answer have ended, as they should or by an error."""
        if self.sink is not None:
            self.sink.finish()
            self.sink = None
        self.is_thinking = False
        self.fresh_line()
        self.clear_status()

    def tell(self, turn: Turn, n_ctx: int) -> None:
        """What there is to know of an answer."""
        if why := why_it_ended(turn, n_ctx):
            self.info(why, YELLOW)
        if self.shows_timings and turn.n_said:
            self.info(speeds(turn, n_ctx))


def why_it_ended(turn: Turn, n_ctx: int) -> str:
    """A line where the model did not end the answer itself; empty otherwise."""
    if turn.finish is None:
        return "interrupted" if turn.n_said else "interrupted before the first word; /regen asks again"
    if turn.finish is Finish.CONTEXT_FULL:
        return f"context full ({n_ctx} tokens): the answer ends here; -c or --context-shift give it more room"
    if turn.finish is Finish.LENGTH:
        return f"cut after {turn.n_said} tokens (-n)"
    return ""


def speeds(turn: Turn, n_ctx: int) -> str:
    """[ prompt 12 + 230 kept, 850.1 t/s | answer 45, 120.3 t/s | context 287 of 4096 ]   in tokens"""
    kept = f" + {turn.n_reused} kept" if turn.n_reused else ""
    prompt = f"prompt {turn.n_prompt - turn.n_reused}{kept}, {turn.prompt_speed:.1f} t/s"
    answer = f"answer {turn.n_said}, {turn.said_speed:.1f} t/s"
    return f"[ {prompt} | {answer} | context {turn.n_prompt + turn.n_said} of {n_ctx} ]"
