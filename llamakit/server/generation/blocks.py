"""A message as a row of blocks, each of one kind: thoughts, text, a call. Some APIs tell messages so."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from llamakit.core.chat.output.output import Delta
from llamakit.core.engine.generate import Piece
from llamakit.core.engine.scheduler import Prefilled
from llamakit.server.generation.message import ChatAnswer, Spoken


class Kind(Enum):
    THOUGHT, TEXT, CALL = range(3)


@dataclass
class Block:
    """`text` is what it says so far; of a call, the arguments' JSON. `pieces` are the tokens that it is made of."""

    kind: Kind
    index: int  # among all
    id: str = ""  # of a call
    name: str = ""
    texts: list[str] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def arguments(self) -> dict[str, Any]:
        """Of a call, as a value; none where it was cut short."""
        try:
            value = json.loads(self.text)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class Begun:
    block: Block


@dataclass(frozen=True, slots=True)
class Grown:
    block: Block
    text: str
    pieces: tuple[Piece, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    block: Block


BlockEvent = Begun | Grown | Done


class Blocks:
    """The blocks of one message as its parts come. A message that says nothing is one empty text."""

    def __init__(self) -> None:
        self.all: list[Block] = []
        self.is_open = False

    async def read(self, answer: ChatAnswer) -> AsyncIterator[BlockEvent | Prefilled]:
        async for part in answer.parts():
            if isinstance(part, Prefilled):
                yield part
                continue
            for event in self.push(part):
                yield event
        if not self.all:
            yield self.begin(Kind.TEXT)
        for event in self.end():
            yield event

    def push(self, part: Spoken) -> Iterator[BlockEvent]:
        kind, text = told(part.delta)
        call = part.delta.tool_call
        if not self.is_open or self.all[-1].kind is not kind or (call is not None and call.name):
            yield from self.end()
            yield self.begin(kind, "" if call is None else call.id, "" if call is None else call.name)
        block = self.all[-1]
        block.pieces += part.pieces
        if text:
            block.texts.append(text)
            yield Grown(block, text, part.pieces)

    def begin(self, kind: Kind, id: str = "", name: str = "") -> Begun:
        self.all.append(Block(kind, len(self.all), id, name))
        self.is_open = True
        return Begun(self.all[-1])

    def end(self) -> Iterator[Done]:
        if self.is_open:
            self.is_open = False
            yield Done(self.all[-1])


def told(delta: Delta) -> tuple[Kind, str]:
    if delta.tool_call is not None:
        return Kind.CALL, delta.tool_call.arguments
    return (Kind.TEXT, delta.content) if delta.content else (Kind.THOUGHT, delta.reasoning_content)
