"""A conversation: what was said, and what the person may do about it."""

from __future__ import annotations

from collections.abc import Iterator

from llamakit.core.chat.message import Message
from llamakit.errors import LlamakitError
from llamakit.tools.chat.events import Event
from llamakit.tools.chat.speaker import ChatError, Speaker
from llamakit.tools.chat.window import Window, turns


class Conversation:
    """Messages, and a model that answers them.

    `say`, `regenerate` and `edit` yield events while the model answers; `speaker.turn` then has the numbers.
    `interrupt` ends an answer at its next token: what was said until then stays said.
    """

    def __init__(self, speaker: Speaker) -> None:
        self.speaker = speaker
        self.messages: list[Message] = []
        self.n_answers = 0  # drawn so far, repeated ones too: each has a seed of its own

    def say(self, text: str) -> Iterator[Event]:
        """The person speaks, the model answers. A message that cannot be answered is taken back, with its error."""
        before = list(self.messages)
        self.messages = with_user(before, text)
        yield from self._answer_or(before)

    def regenerate(self) -> Iterator[Event]:
        """Another answer to the same message. Raises ChatError where nothing was said."""
        if self.last_said is None:
            raise ChatError("there is nothing to answer again yet")
        before = list(self.messages)
        while self.messages[-1].role != "user":
            self.messages.pop()
        yield from self._answer_or(before)

    def edit(self, text: str) -> Iterator[Event]:
        """The person's last message was another one, and the model answers that."""
        before = list(self.messages)
        self.undo()
        self.messages.append(Message("user", text))
        yield from self._answer_or(before)

    def undo(self) -> str:
        """Forget the last turn, the person's message and the answer; returns the message."""
        last = self.last_said
        if last is None:
            raise ChatError("there is no turn to take back")
        while self.messages.pop().role != "user":
            pass
        self.speaker.window = self.speaker.window.clipped(len(self.messages))
        return last

    def clear(self) -> None:
        """Forget all but the system message."""
        self.messages = self.messages[: bool(self.system)]
        self.speaker.window = Window()

    def set_system(self, text: str) -> None:
        """What the model is told before all else; empty: nothing."""
        rest = self.messages[bool(self.system) :]
        self.messages = [Message("system", text), *rest] if text else rest
        self.speaker.window = Window()

    def interrupt(self) -> None:
        """End the answer at its next token. Safe to call from a signal handler."""
        self.speaker.is_interrupted = True

    @property
    def system(self) -> str:
        """The system message; empty: there is none."""
        first = self.messages[:1]
        return first[0].text if first and first[0].role == "system" else ""

    @property
    def last_said(self) -> str | None:
        """The person's last message."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), None)

    @property
    def n_turns(self) -> int:
        return len(turns(self.messages))

    def _answer_or(self, before: list[Message]) -> Iterator[Event]:
        """Let the model answer; after an error all is as before."""
        speaker, window = self.speaker, self.speaker.window
        try:
            yield from speaker.answer(self.messages, self.n_answers)
        except LlamakitError:
            self.messages, speaker.window = before, window
            raise
        finally:
            if speaker.turn.n_said and self.messages is not before:
                self.messages.append(speaker.said)
                self.n_answers += 1


def with_user(messages: list[Message], text: str) -> list[Message]:
    """The messages and one more of the person's, joined to an earlier one that never got an answer."""
    if messages and messages[-1].role == "user":
        return [*messages[:-1], Message("user", f"{messages[-1].text}\n\n{text}")]
    return [*messages, Message("user", text)]
