"""Which messages the model still sees, when all of them no longer fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from llamakit.core.chat.message import Message


@dataclass(frozen=True, slots=True)
class Window:
    """All messages but `n_dropped` behind the first `n_kept`. Turns are dropped whole, from a person's message on."""

    n_kept: int = 0
    n_dropped: int = 0

    def of(self, messages: Sequence[Message]) -> list[Message]:
        return [*messages[: self.n_kept], *messages[self.n_kept + self.n_dropped :]]

    def without_oldest(self, messages: Sequence[Message]) -> Window | None:
        """The window with a turn less; None where only the last turn is left."""
        first = self.n_kept + self.n_dropped
        users = [i for i, message in enumerate(messages) if message.role == "user" and i > first]
        if not users or not any(message.role == "user" for message in messages[first : users[0]]):
            return None
        return replace(self, n_dropped=users[0] - self.n_kept)

    def n_turns_dropped(self, messages: Sequence[Message]) -> int:
        return sum(m.role == "user" for m in messages[self.n_kept : self.n_kept + self.n_dropped])

    def clipped(self, n_messages: int) -> Window:
        """The window when only so many messages are left: all of them, if none of those would be seen."""
        return self if n_messages > self.n_kept + self.n_dropped else Window()


def turns(messages: Sequence[Message]) -> list[int]:
    """Where each turn begins: the indices of the person's messages."""
    return [i for i, message in enumerate(messages) if message.role == "user"]
