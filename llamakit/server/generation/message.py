"""What one stream of a chat says, told apart as it comes: thoughts, content, calls of tools."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from llamakit.core.chat.output.output import Delta, Message
from llamakit.core.chat.request import Opening
from llamakit.core.engine.generate import Piece
from llamakit.core.engine.scheduler import Prefilled
from llamakit.server.generation.answer import Answer


@dataclass(frozen=True, slots=True)
class Spoken:
    """A piece of the message, and the tokens since the last one."""

    delta: Delta
    pieces: tuple[Piece, ...] = ()


class ChatAnswer:
    """A message being said. At its end there is `message`; `last_pieces` are tokens that no delta came after."""

    def __init__(self, answer: Answer, opening: Opening, is_streamed: bool) -> None:
        self.answer = answer
        self.parser = opening.reader(is_streamed)
        self.last_pieces: tuple[Piece, ...] = ()

    @property
    def message(self) -> Message:
        return self.parser.message

    @property
    def raw(self) -> str:
        """The text, marks and all."""
        return self.parser.raw

    @property
    def finish_reason(self) -> str:
        if not self.answer.is_complete:
            return "length"
        return "tool_calls" if self.message.tool_calls else "stop"

    async def parts(self) -> AsyncIterator[Spoken | Prefilled]:
        """Deltas, and how far the prompt has come where that was asked for; raises as Answer.parts."""
        async for part in self.answer.parts():
            if isinstance(part, Prefilled):
                yield part
                continue
            self.last_pieces += part.pieces
            for delta in self.parser.push(part.text):
                yield self.spoken(delta)
        for delta in self.parser.finish():
            yield self.spoken(delta)

    def spoken(self, delta: Delta) -> Spoken:
        pieces, self.last_pieces = self.last_pieces, ()
        return Spoken(delta, pieces)

    async def whole(self) -> list[Piece]:
        """Read all; its tokens."""
        parts = [part async for part in self.parts() if isinstance(part, Spoken)]
        return [*(piece for part in parts for piece in part.pieces), *self.last_pieces]
