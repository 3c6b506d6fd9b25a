"""The loop of a conversation: read a message, show the answer, and again."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from llamakit.cli.chat.commands import Next, as_message, find
from llamakit.cli.chat.input import PROMPT, Input
from llamakit.cli.chat.screen import GREEN, Screen
from llamakit.errors import LlamakitError, UsageError

if TYPE_CHECKING:
    from llamakit.api.grammar import LlamaGrammar
    from llamakit.tools.chat.conversation import Conversation
    from llamakit.tools.chat.draws import Draws
    from llamakit.tools.chat.events import Event

EXIT_INTERRUPTED = 130


class ChatLoop:
    """A conversation at a terminal, or with what comes through a pipe."""

    def __init__(
        self,
        conversation: Conversation,
        source: Input,
        screen: Screen,
        draws: Draws,
        model_name: str,
        output_file: Path | None = None,
    ) -> None:
        self.conversation, self.input, self.screen, self.draws = conversation, source, screen, draws
        self.model_name, self.output_file = model_name, output_file
        self.grammar_name = "from the command line" if draws.grammar else ""
        self.attached = ""  # text of files that goes before the next message

    def run(self, first: str = "", is_single: bool = False, display_prompt: bool = True) -> int:
        """Until the person leaves; returns the exit code. `first` is said at once, `is_single` leaves after an answer.

        A person is shown an error and may go on; where messages come through a pipe it ends the conversation.
        """
        if self.output_file is not None:
            self.record("")
        n_ctx = self.conversation.speaker.session.context.n_ctx
        if self.input.is_echoed:
            self.screen.info(f"{self.model_name}, {n_ctx} tokens of context; /help lists commands\n{self.input.hint}")
        try:
            if first:
                if display_prompt and self.screen.is_terminal:
                    self.screen.put(f"{PROMPT}{first}\n", GREEN)
                self.answer(lambda: self.conversation.say(first))
            while not (first and is_single):
                self.screen.fresh_line()
                message = self.input.read_all() if is_single else self.input.read()
                if self.input.is_echoed:
                    self.screen.line = ""
                if (message.strip() and self.obey(message) is Next.LEAVE) or is_single:
                    break
        except EOFError:
            pass
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        finally:
            self.screen.fresh_line()
        return 0

    def obey(self, message: str) -> Next:
        """Carry out a command, or let the model answer."""

        def start() -> Iterator[Event] | Next:
            command = find(message)
            if command is not None:
                return command[0].run(self, command[1])
            text, self.attached = self.attached + as_message(message), ""
            return self.conversation.say(text)

        return self.answer(start)

    def answer(self, start: Callable[[], Iterator[Event] | Next]) -> Next:
        try:
            events = start()
            if isinstance(events, Next):
                return events
            self.show(events)
        except LlamakitError as error:
            if not self.input.is_echoed:
                raise
            self.screen.error(str(error))
        return Next.READ

    def show(self, events: Iterator[Event]) -> None:
        """An answer as it comes; a person's Ctrl-C ends it, a second one raises KeyboardInterrupt."""
        conversation = self.conversation
        with hearing_ctrl_c(conversation.interrupt) if self.input.is_echoed else nullcontext():
            try:
                for event in events:
                    self.screen.show(event)
            finally:
                self.screen.finish()
        self.screen.tell(conversation.speaker.turn, conversation.speaker.session.context.n_ctx)
        if self.output_file is not None:
            said = conversation.speaker.said
            thinking = f"[Start thinking]\n\n{said.reasoning}\n\n[End thinking]\n\n" if said.reasoning else ""
            self.record(f"User:\n{conversation.last_said}\n\nAssistant:\n{thinking}{said.text}\n\n")

    def record(self, text: str) -> None:
        """Put text behind what the output file has; an empty one begins it."""
        assert self.output_file is not None
        try:
            with self.output_file.open("a" if text else "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
        except OSError as error:
            raise UsageError(f"{self.output_file}: {error.strerror}") from None

    def set_grammar(self, grammar: LlamaGrammar | None, name: str) -> None:
        """What the answers from now on must fit."""
        self.draws.grammar, self.grammar_name = grammar, name


@contextmanager
def hearing_ctrl_c(interrupt: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C calls `interrupt`, the second raises KeyboardInterrupt."""
    n_heard = 0

    def hear(number: int, frame: FrameType | None) -> None:
        nonlocal n_heard
        n_heard += 1
        if n_heard > 1:
            raise KeyboardInterrupt
        interrupt()

    before = signal.signal(signal.SIGINT, hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
