"""Calls with a tag for each argument: <function=NAME><parameter=KEY>VALUE</parameter></function> and its relatives."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from llamakit.core.chat.output.arguments import ALL_TYPES, Arguments
from llamakit.core.chat.output.grammar_writer import GrammarWriter, text
from llamakit.core.chat.output.notation import PYTHON, escaped, read_value
from llamakit.core.chat.output.reading import Reading
from llamakit.core.chat.output.source import Cut, NotACall, Steps, markers
from llamakit.core.grammar.rules import Sequence
from llamakit.core.grammar.schema_shapes import Expr
from llamakit.core.grammar.schema_strings import Strings
from llamakit.core.grammar.triggers import Triggers

ATTRIBUTE = re.compile(r'([\w:-]+)="([^"]*)"')
JSON_STARTS = "{[\"'"  # of values that may be long, and are passed on as they come
CDATA = ("<![CDATA[", "]]>")


@dataclass(frozen=True)
class Tag:
    """A tag around a name: `before` NAME `quote` attributes `after`. attributes: as the grammar writes them, with
    {type} for the type of the value, {is_string} for whether it is a string, {number} for any number.
    """

    before: str
    quote: str
    after: str
    attributes: str = ""

    def read(self, reading: Reading) -> Steps[tuple[str, dict[str, str]]]:
        """The name and the attributes, `before` having been read."""
        source = reading.source
        name = yield from source.until(self.quote or self.after)
        if not self.quote:
            yield from source.take(self.after)
            return name.strip(), {}
        yield from source.take(self.quote)
        attributes = yield from source.until(self.after)
        yield from source.take(self.after)
        return name, dict(ATTRIBUTE.findall(attributes))


@dataclass(frozen=True)
class TaggedCalls:
    """Each call is the tag `call`, arguments, `call_end`; each argument the tag `key`, then its value.

    value: what stands before and after it; a string stands there as it is, all else as JSON. section: marks around all
    calls, or each (`is_wrapped`). gap: between tags, where blanks are read. call.after is empty where the name ends
    with its line or the next tag. bare_calls: calls may lack the section's start. has_cdata: a string may be in CDATA.
    """

    call: Tag
    call_end: str
    key: Tag
    value: tuple[str, str]
    section: tuple[str, str] = ("", "")
    gap: str = "\n"
    is_wrapped: bool = False
    bare_calls: bool = False
    has_cdata: bool = False

    @property
    def starts(self) -> tuple[str, ...]:
        if not self.section[0]:
            return (self.call.before,)
        return (self.section[0], self.call.before) if self.bare_calls else (self.section[0],)

    @property
    def closings(self) -> tuple[str, ...]:
        """What may follow a value: a model may leave out the blanks."""
        return tuple(dict.fromkeys([self.value[1], self.value[1].strip()]))

    # reading
    def read(self, reading: Reading) -> Steps[None]:
        source = reading.source
        start = (yield from source.take(self.section[0])) if self.section[0] else ""
        while True:
            yield from source.blanks()
            if not (yield from source.take(self.call.before)):
                raise NotACall
            yield from self.read_call(reading, is_known=self.bare_calls and not start)
            source.keep()
            yield from source.blanks()
            if self.section[1] and (yield from source.take(self.section[1])):
                source.release()
                return
            if not (yield from source.comes(self.call.before)):
                source.go_back()
                return

    def read_call(self, reading: Reading, is_known: bool) -> Steps[None]:
        source, output = reading.source, reading.output
        if self.call.after:
            name, _ = yield from self.call.read(reading)
        else:
            name = (yield from source.until("\n", self.key.before, self.call_end)).strip()
        reading.begin_call(name, is_known=is_known)
        opening = "{"
        while True:
            yield from source.blanks()
            if (yield from source.take(self.key.before)):
                key, attributes = yield from self.key.read(reading)
                output.arguments(f'{opening}"{escaped(key)}": ')
                opening = ", "
                yield from self.read_value(reading, types_of(reading, name, key, attributes))
            elif (yield from source.take(self.call_end)):
                break
            elif self.section[1] and (yield from source.comes(self.section[1])):
                break
            else:
                raise Cut if source.is_over and source.begins(self.key.before, self.call_end) else NotACall
        output.arguments("{}" if opening == "{" else "}")

    def read_value(self, reading: Reading, types: frozenset[str]) -> Steps[None]:
        """A value and its closing tag."""
        source, output = reading.source, reading.output
        if opening := self.value[0].strip():
            yield from source.blanks()
            if not (yield from source.take(opening)):
                raise NotACall
        elif self.value[0]:
            yield from source.take(self.value[0])
        if types == {"string"} and self.has_cdata and (yield from source.take(CDATA[0])):
            yield from read_raw(reading, CDATA[1])
            yield from source.blanks()
            yield from source.take(self.value[1])
        elif types == {"string"}:
            yield from read_raw(reading, *self.closings)
        elif "string" in types:
            yield from read_either(reading, types, *self.closings)
        else:
            yield from source.blanks()
            if (yield from source.comes(*JSON_STARTS)):
                yield from read_value(source, PYTHON, output.arguments)
                yield from source.blanks()
                if not (yield from source.take(self.value[1].strip())):
                    raise NotACall
            else:
                yield from read_either(reading, types, *self.closings)

    # writing
    def sequence(self, writer: GrammarWriter) -> Sequence:
        call = writer.each_tool(lambda arguments: self.written(writer, arguments))
        gap = text(self.gap)
        start, end = text(self.section[0]), text(self.section[1])
        if self.is_wrapped:
            first, *others = writer.list_of(writer.rule("call", (start, gap, call, gap, end)), gap)
            bare = (call, gap, end)
            return (writer.rule("first", (first,), bare) if self.bare_calls else first, *others)
        between = (gap,) if self.section[0] else ()
        return (start, *between, *writer.list_of(call, gap), *between, end)

    def written(self, writer: GrammarWriter, arguments: Arguments) -> Sequence:
        gap = text(self.gap)

        def argument(key: Sequence, expr: Expr) -> Sequence:
            return (writer.rule("argument", *self.values(writer, arguments, key, expr)),)

        inside = writer.properties(arguments.object, argument, gap)
        attributes = self.attributes(writer, self.call, "")
        opened = (text(self.call.before + arguments.tool.name + self.call.quote), *attributes, text(self.call.after))
        blank = writer.optional(gap) if inside else gap
        return (*opened, gap, *inside, *((blank,) if inside else ()), text(self.call_end))

    def values(self, writer: GrammarWriter, arguments: Arguments, key: Sequence, expr: Expr) -> list[Sequence]:
        """The argument with its tags: as a string as it is, as JSON, or either, which then is any text."""
        strings = [shape for shape in arguments.shapes(expr) if isinstance(shape, Strings)]
        types = arguments.types(expr)
        ways: list[Sequence] = []
        ends = (*self.closings, CDATA[0]) if self.has_cdata else self.closings
        for shape in strings if types == {"string"} else [Strings()] if strings else []:
            ways.append(self.tagged(writer, key, writer.raw(shape, *ends), "string"))
            if self.has_cdata and types == {"string"}:
                quoted = (text(CDATA[0]), *writer.raw(shape, CDATA[1]), text(CDATA[1]))
                ways.append(self.tagged(writer, key, quoted, "string"))
        if types - {"string"} and (not strings or self.key.attributes):
            kind = next(iter(types)) if len(types) == 1 else "object"
            ways.append(self.tagged(writer, key, (writer.json(arguments, expr),), kind))
        return ways

    def tagged(self, writer: GrammarWriter, key: Sequence, value: Sequence, kind: str) -> Sequence:
        name = (text(self.key.before), *key, text(self.key.quote), *self.attributes(writer, self.key, kind))
        return (*name, text(self.key.after), text(self.value[0]), *value, text(self.value[1]))

    def attributes(self, writer: GrammarWriter, tag: Tag, kind: str) -> Sequence:
        if not tag.attributes:
            return ()
        before, number, after = tag.attributes.partition("{number}")
        if number:
            return (text(before), writer.pattern("[1-9][0-9]{0,3}"), text(after))
        return (text(tag.attributes.format(type=kind, is_string="true" if kind == "string" else "false")),)

    def triggers(self, writer: GrammarWriter) -> Triggers:
        """A call without the section's start counts only with its name: what it begins with is common."""
        bare = [f"{self.call.before}{name}{self.call.quote or self.call.after}" for name in writer.names]
        return Triggers(words=(self.starts[0], *(bare if self.bare_calls else ())))


def types_of(reading: Reading, tool: str, key: str, attributes: dict[str, str]) -> frozenset[str]:
    """The types that a value may have, by what its tag says, else by the tool's schema."""
    is_string = attributes.get("string") == "true" or attributes.get("type") == "string"
    if attributes.keys() & {"string", "type"}:
        return frozenset(["string"]) if is_string else ALL_TYPES - {"string"}
    return reading.tools.types(tool, key)


def read_raw(reading: Reading, *closings: str) -> Steps[None]:
    """A string that stands there as it is, and its closing tag."""
    source, output = reading.source, reading.output
    output.arguments('"')
    found = yield from source.stream(markers(*closings), lambda part: output.arguments(escaped(part)), keeps_half=True)
    if not found:
        raise Cut
    source.move(len(found))
    output.arguments('"')


def read_either(reading: Reading, types: frozenset[str], *closings: str) -> Steps[None]:
    """JSON if it is of one of the types, else a string, and its closing tag: known only at its end."""
    parts: list[str] = []
    found = yield from reading.source.stream(markers(*closings), parts.append)
    value = "".join(parts)
    if not found:
        raise Cut
    reading.source.move(len(found))
    kind = json_type(value)
    is_json = kind in types - {"string"} if "string" in types else bool(kind)
    reading.output.arguments(value.strip() if is_json else f'"{escaped(value)}"')


def json_type(value: str) -> str:
    """The type of a JSON text; "" if it is none."""
    try:
        found = json.loads(value, parse_constant=refuse)
    except (ValueError, RecursionError):
        return ""
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(found), "number")


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
