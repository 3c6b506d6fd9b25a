"""Calls that are JSON objects: {"name": ..., "arguments": {...}}, alone or in a list, between marks or bare."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from llamakit.core.chat.output.arguments import Arguments
from llamakit.core.chat.output.grammar_writer import GrammarWriter, quoted, text
from llamakit.core.chat.output.notation import JSON, read_arguments, read_key, read_name, read_value
from llamakit.core.chat.output.reading import Reading
from llamakit.core.chat.output.source import NotACall, Steps
from llamakit.core.grammar.rules import Sequence
from llamakit.core.grammar.triggers import Triggers

NAME_KEYS = ("name", "tool_name", "function")
ARGUMENT_KEYS = ("arguments", "parameters")
ID_KEYS = {"id", "tool_call_id"}
SEPARATORS = re.compile(r"[ \t\r\n,;]*")


@dataclass
class Draft:
    """A call of which not everything is known yet. is_kept_back: it is one for sure, but waits for its id."""

    name: str = ""
    id: str = ""
    arguments: list[str] = field(default_factory=list)
    is_begun: bool = False
    is_kept_back: bool = False


@dataclass(frozen=True)
class JsonCalls:
    """The objects stand one after the other, each between `start` and `end`, or all in one list between them.

    start: empty where nothing marks them. other_starts: misspelled ones. name_key, arguments_key: of the grammar; read
    are all that are usual. name_is_key: the object is {NAME: {...}}. id_key, id_pattern: an id that the grammar asks
    for, first or last; one that is last keeps the arguments back.
    """

    start: str = ""
    end: str = ""
    other_starts: tuple[str, ...] = ()
    is_list: bool = False
    is_wrapped: bool = True  # each object has a start and an end of its own; else the objects stand on lines
    name_key: str = "name"
    arguments_key: str = "arguments"
    name_is_key: bool = False
    id_key: str = ""
    id_pattern: str = "[A-Za-z0-9]{9}"
    id_is_first: bool = False
    id_is_last: bool = False

    @property
    def starts(self) -> tuple[str, ...]:
        return (self.start, *self.other_starts) if self.start else ("{",)

    # reading
    def read(self, reading: Reading) -> Steps[None]:
        source = reading.source
        while True:
            if self.start:
                yield from source.take(*self.starts)
                yield from source.blanks()
            if (yield from source.peek()) == "[":
                source.move(1)
                yield from self.read_list(reading)
            else:
                yield from self.read_object(reading)
                yield from self.read_more(reading)
            yield from self.read_end(reading)
            source.keep()
            yield from source.blanks()
            if not self.start or not (yield from source.comes(*self.starts)):
                source.go_back()
                return

    def read_list(self, reading: Reading) -> Steps[None]:
        source = reading.source
        yield from source.blanks()
        while True:
            yield from self.read_object(reading)
            source.keep()
            yield from source.blanks()
            if (yield from source.take("]", ",")) != ",":
                source.release()
                return
            yield from source.blanks()

    def read_more(self, reading: Reading) -> Steps[None]:
        """Further objects between the same marks."""
        source = reading.source
        while True:
            source.keep()
            yield from source.run(SEPARATORS)
            if (yield from source.peek()) != "{":
                source.go_back()
                return
            yield from self.read_object(reading)

    def read_end(self, reading: Reading) -> Steps[None]:
        if self.end:
            reading.source.keep()
            yield from reading.source.blanks()
            if (yield from reading.source.take(self.end)):
                reading.source.release()
            else:
                reading.source.go_back()

    def read_object(self, reading: Reading) -> Steps[None]:
        """One call. The source is kept before it, so that it can become content if it is none."""
        draft = Draft()
        try:
            yield from self.read_members(reading, draft)
        except NotACall:
            if draft.is_kept_back:
                self.begin(reading, draft)
            raise
        if not draft.is_begun:
            draft.arguments = draft.arguments or ["{}"]
            self.begin(reading, draft)

    def read_members(self, reading: Reading, draft: Draft) -> Steps[None]:
        source = reading.source
        if (yield from source.peek()) != "{":
            raise NotACall
        source.move(1)
        depth = 1  # more within {"type": "function", "function": {...}}
        while depth:
            yield from source.run(SEPARATORS)
            if (yield from source.peek()) == "}":
                source.move(1)
                depth -= 1
                continue
            key = yield from read_member_key(reading)
            char = yield from source.peek()
            if key == "function" and char == "{":
                source.move(1)
                depth += 1
            elif draft.is_begun:
                yield from read_value(source, JSON, drop)
            elif self.name_is_key:
                draft.name = key
                yield from self.read_arguments(reading, draft)
            elif key in (self.name_key, *NAME_KEYS) and char == '"':
                draft.name = yield from read_name(source)
            elif key in (self.arguments_key, *ARGUMENT_KEYS):
                yield from self.read_arguments(reading, draft)
            elif key in ID_KEYS:
                draft.id = yield from read_id(reading)
            else:
                yield from read_value(source, JSON, drop)

    def read_arguments(self, reading: Reading, draft: Draft) -> Steps[None]:
        """Passed on as they come, once the name is known; but a call begins with its id, too, for which they wait."""
        if draft.name and self.id_is_last:
            reading.check_name(draft.name, is_known=not self.start)
            reading.source.release()
            draft.is_kept_back = True
        elif draft.name:
            self.begin(reading, draft)
        emit = reading.output.arguments if draft.is_begun else draft.arguments.append
        yield from read_arguments(reading.source, emit)

    def begin(self, reading: Reading, draft: Draft) -> None:
        reading.begin_call(draft.name, draft.id, is_known=not self.start)
        draft.is_begun, draft.is_kept_back = True, False
        reading.output.arguments("".join(draft.arguments))

    # writing
    def sequence(self, writer: GrammarWriter) -> Sequence:
        space = writer.space
        item = writer.each_tool(lambda arguments: self.object(writer, arguments))
        start = (writer.one_of(*self.starts), space) if self.start else ()
        end = (space, text(self.end)) if self.end else ()
        if self.is_list:
            items = (text("["), space, *writer.list_of(item, text(","), space), space, text("]"))
            return (*start, *items, *end)
        if self.is_wrapped:
            return writer.list_of(writer.rule("call", (*start, item, *end)), space)
        return (*start, *writer.list_of(item, text("\n")), *end)

    def object(self, writer: GrammarWriter, arguments: Arguments) -> Sequence:
        space, values, name = writer.space, writer.json(arguments), json.dumps(arguments.tool.name)
        if self.name_is_key:
            return (text("{"), space, text(f"{name}:"), space, values, space, text("}"))
        comma = (text(","), space)
        number = (text(f'"{self.id_key}":'), space, text('"'), writer.pattern(self.id_pattern), text('"'))
        first: Sequence = (*number, *comma) if self.id_key and self.id_is_first else ()
        last = (*comma, *number) if self.id_key and self.id_is_last else ()
        kind = (text('"type":'), space, text('"function"'), *comma)
        first = first if self.start else (writer.optional(*kind),)  # Llama 3.x says so now and then
        named = (text(f'"{self.name_key}":'), space, text(name))
        called = (text(f'"{self.arguments_key}":'), space, values)
        return (text("{"), space, *first, *named, *comma, *called, *last, space, text("}"))

    def triggers(self, writer: GrammarWriter) -> Triggers:
        if self.start:
            return Triggers(words=self.starts)
        names = "|".join(map(quoted, writer.names))
        kind = r'(?:"type":\s*"function",\s*)?'
        return Triggers(patterns=(rf'(\{{\s*{kind}"{self.name_key}":\s*"(?:{names})")',))


def read_member_key(reading: Reading) -> Steps[str]:
    parts: list[str] = []
    yield from read_key(reading.source, JSON, parts.append)
    yield from reading.source.blanks()
    return str(json.loads("".join(parts[:-1])))


def read_id(reading: Reading) -> Steps[str]:
    """A string, or a number as text; anything else is no id."""
    if (yield from reading.source.peek()) == '"':
        return (yield from read_name(reading.source))
    parts: list[str] = []
    yield from read_value(reading.source, JSON, parts.append)
    return parts[0] if len(parts) == 1 else ""


def drop(text: str) -> None:
    """For what is read and means nothing."""
