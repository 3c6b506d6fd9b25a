"""Where the parts of a model's text go: deltas for a stream, and the message they add up to."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

MOST_BLANKS = 4096  # at the end of content, that are kept back until it goes on
ALPHANUMERIC = string.ascii_letters + string.digits

NewId = Callable[[int], str]


def new_id(index: int) -> str:
    """An id for a call that has none: 9 letters or digits, which every template accepts."""
    return "".join(secrets.choice(ALPHANUMERIC) for _ in range(9))


@dataclass(frozen=True)
class CallDelta:
    """More of the call `index`: first its id and name, then pieces of its arguments."""

    index: int
    arguments: str = ""
    id: str = ""
    name: str = ""

    def as_json(self) -> dict[str, Any]:
        """As in the chunks of OpenAI's API."""
        if not self.name:
            return {"index": self.index, "function": {"arguments": self.arguments}}
        function = {"name": self.name, "arguments": self.arguments}
        return {"index": self.index, "id": self.id, "type": "function", "function": function}


@dataclass(frozen=True)
class Delta:
    """A piece of the message: of one of its parts."""

    content: str = ""
    reasoning_content: str = ""
    tool_call: CallDelta | None = None

    def as_json(self) -> dict[str, Any]:
        """As in the chunks of OpenAI's API."""
        if self.tool_call is not None:
            return {"tool_calls": [self.tool_call.as_json()]}
        return {"content": self.content} if self.content else {"reasoning_content": self.reasoning_content}


@dataclass(frozen=True)
class ToolCall:
    id: str
    name: str
    arguments: str  # JSON; not all of it if the text was cut short

    def as_json(self) -> dict[str, Any]:
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


@dataclass(frozen=True)
class Message:
    """What the assistant said."""

    content: str = ""
    reasoning_content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As in OpenAI's API: content is null where there are only calls, the other parts are there if not empty."""
        message: dict[str, Any] = {"role": "assistant", "content": self.content or (None if self.tool_calls else "")}
        if self.reasoning_content:
            message["reasoning_content"] = self.reasoning_content
        if self.tool_calls:
            message["tool_calls"] = [call.as_json() for call in self.tool_calls]
        return message


def joined(deltas: list[Delta]) -> Message:
    """The message that deltas add up to."""
    firsts: dict[int, CallDelta] = {}
    arguments: dict[int, list[str]] = {}
    for delta in deltas:
        if delta.tool_call is not None:
            firsts.setdefault(delta.tool_call.index, delta.tool_call)
            arguments.setdefault(delta.tool_call.index, []).append(delta.tool_call.arguments)
    calls = tuple(ToolCall(first.id, first.name, "".join(arguments[i])) for i, first in firsts.items())
    content = "".join(delta.content for delta in deltas)
    return Message(content, "".join(delta.reasoning_content for delta in deltas), calls)


@dataclass
class Blanks:
    """Text without the blanks at its end, which come only when more does; and, if asked, at its begin."""

    emit: Callable[[str], None]
    kept: list[str] = field(default_factory=list)
    n_kept: int = 0
    skips: bool = False  # blanks that come next
    has_any: bool = False  # text but blanks

    def push(self, text: str) -> None:
        if self.skips:
            text = text.lstrip()
            self.skips = not text
        body = text.rstrip()
        if body:
            self.has_any = True
            self.flush()
            self.emit(body)
        if len(text) > len(body):
            self.kept.append(text[len(body) :])
            self.n_kept += len(text) - len(body)
            if self.n_kept > MOST_BLANKS:
                blanks = "".join(self.kept)
                self.kept, self.n_kept = [blanks[-MOST_BLANKS:]], MOST_BLANKS
                self.emit(blanks[:-MOST_BLANKS])

    def separate(self) -> None:
        """What comes next is another paragraph, if there was one."""
        if self.has_any:
            self.drop()
            self.push("\n\n")

    def flush(self) -> None:
        if self.kept:
            self.emit("".join(self.kept))
            self.drop()

    def drop(self) -> None:
        self.kept.clear()
        self.n_kept = 0


class Output:
    """Takes the parts as they are found and makes deltas of them."""

    def __init__(self, make_id: NewId = new_id) -> None:
        self.pieces: list[tuple[Delta, list[str]]] = []  # how each delta begins, and its text
        self.n_calls = 0
        self.is_empty = True
        self.make_id = make_id
        self.content = Blanks(lambda text: self.add(CONTENT, text))
        self.reasoning = Blanks(lambda text: self.add(REASONING, text))

    def add(self, kind: Delta, text: str) -> None:
        self.is_empty = False
        if not self.pieces or self.pieces[-1][0] is not kind:
            self.pieces.append((kind, []))
        self.pieces[-1][1].append(text)

    def begin_call(self, name: str, call_id: str = "") -> None:
        """Blanks before a call are dropped."""
        self.content.drop()
        self.reasoning.drop()
        self.is_empty = False
        index, self.n_calls = self.n_calls, self.n_calls + 1
        call = CallDelta(index, id=call_id or self.make_id(index), name=name)
        self.pieces.append((Delta(tool_call=call), []))

    def arguments(self, text: str) -> None:
        """More of the last call's arguments."""
        if not self.pieces or self.pieces[-1][0].tool_call is None:
            self.pieces.append((Delta(tool_call=CallDelta(self.n_calls - 1)), []))
        self.pieces[-1][1].append(text)

    def finish(self) -> None:
        """Nothing more will come: blanks at the end are content if there were no calls before them."""
        if not self.n_calls:
            self.content.flush()

    def drain(self) -> list[Delta]:
        """What has been added since the last time, text of one part in one delta."""
        deltas = []
        for kind, texts in self.pieces:
            text = "".join(texts)
            if kind.tool_call is not None:
                deltas.append(Delta(tool_call=replace(kind.tool_call, arguments=text)))
            elif text:
                deltas.append(Delta(text) if kind is CONTENT else Delta(reasoning_content=text))
        self.pieces = []
        return deltas


CONTENT, REASONING = Delta(), Delta()
