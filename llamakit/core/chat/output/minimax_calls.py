"""Calls whose values are written as tags all the way down, each tag with a mark before it: MiniMax M3."""

from __future__ import annotations

from dataclasses import dataclass

from llamakit.core.chat.output.arguments import ALL_TYPES, TYPES, Arguments, value_of
from llamakit.core.chat.output.grammar_writer import GrammarWriter, text
from llamakit.core.chat.output.notation import PYTHON, escaped, read_value
from llamakit.core.chat.output.reading import Reading
from llamakit.core.chat.output.source import Cut, NotACall, Steps
from llamakit.core.chat.output.tagged_calls import JSON_STARTS, read_either, read_raw
from llamakit.core.chat.output.tools import ToolError
from llamakit.core.grammar.rules import Ref, Repeat, Sequence, Text
from llamakit.core.grammar.schema_shapes import FALSE, TRUE, Arrays, At, Expr, Objects, Shape
from llamakit.core.grammar.schema_strings import Strings
from llamakit.core.grammar.triggers import Triggers

MARK = "]<]minimax[>["
START, END = MARK + "<tool_call>", MARK + "</tool_call>"
CALL, CALL_END = MARK + '<invoke name="', MARK + "</invoke>"
OPEN, CLOSE = MARK + "<", MARK + "</"
ITEM = "item"
MOST_NESTED = 60
EMPTY = {frozenset(["array"]): "[]", frozenset(["object"]): "{}"}


@dataclass(frozen=True)
class Known:
    """What a tool's schema says about a value; `shapes` is None where it says nothing."""

    schema: Arguments | None = None
    shapes: tuple[Shape, ...] | None = None

    @classmethod
    def of_tool(cls, reading: Reading, name: str) -> Known:
        schema = reading.tools.arguments.get(name)
        return cls(schema).at(At(""))

    @property
    def types(self) -> frozenset[str]:
        return ALL_TYPES if self.shapes is None else frozenset(TYPES[type(shape)] for shape in self.shapes)

    def at(self, expr: Expr) -> Known:
        if self.schema is None or expr == TRUE:
            return Known(self.schema)
        try:
            return Known(self.schema, self.schema.shapes(expr) or None)
        except ToolError:
            return Known(self.schema)

    def property(self, key: str) -> Known:
        objects = [shape for shape in self.shapes or () if isinstance(shape, Objects)]
        named = [shape for shape in objects if key in dict(shape.properties)]
        return self.at(value_of(named[0], key)) if named else Known(self.schema)

    def item(self, i: int) -> Known:
        arrays = [shape for shape in self.shapes or () if isinstance(shape, Arrays)]
        return self.at(arrays[0].item(i)) if arrays else Known(self.schema)


@dataclass(frozen=True)
class MiniMaxCalls:
    """An object is a tag for each property, an array one <item> for each item, a string stands there as it is."""

    @property
    def starts(self) -> tuple[str, ...]:
        return (START,)

    # reading
    def read(self, reading: Reading) -> Steps[None]:
        source = reading.source
        yield from source.take(START)
        while True:
            yield from source.blanks()
            if not (yield from source.take(CALL)):
                raise NotACall
            name = yield from source.until('">')
            reading.begin_call(name)
            yield from source.take('">')
            yield from read_children(reading, Known.of_tool(reading, name), 0)
            yield from source.blanks()
            if not (yield from source.take(CALL_END)):
                raise NotACall
            source.keep()
            yield from source.blanks()
            if (yield from source.take(END)):
                source.release()
                return
            if not (yield from source.comes(CALL)):
                source.go_back()
                return

    # writing
    def sequence(self, writer: GrammarWriter) -> Sequence:
        call = writer.each_tool(lambda arguments: self.written(writer, arguments))
        return (text(START + "\n"), *writer.list_of(call, text("\n")), text("\n" + END))

    def written(self, writer: GrammarWriter, arguments: Arguments) -> Sequence:
        inside = Tags(writer, arguments).members(arguments.object)
        return (text(f'{CALL}{arguments.tool.name}">'), *inside, text(CALL_END))

    def triggers(self, writer: GrammarWriter) -> Triggers:
        return Triggers(words=(START,))


def read_children(reading: Reading, known: Known, depth: int) -> Steps[None]:
    """Tags one after the other: the properties of an object, or the items of an array."""
    source, output = reading.source, reading.output
    if depth > MOST_NESTED:
        raise NotACall
    n, is_list = 0, False
    while True:
        yield from source.blanks()
        if (yield from source.comes(OPEN, CLOSE)) != OPEN:
            break
        yield from source.take(OPEN)
        tag = yield from source.until(">")
        yield from source.take(">")
        if n == 0:
            is_list = tag == ITEM and "array" in known.types
        output.arguments(", " if n else "[" if is_list else "{")
        if not is_list:
            output.arguments(f'"{escaped(tag)}": ')
        child = known.item(n) if is_list else known.property(tag)
        yield from read_child(reading, child, f"{CLOSE}{tag}>", depth + 1)
        n += 1
    if not (yield from source.comes(CLOSE)):
        raise Cut if source.begins(CLOSE) else NotACall
    output.arguments("{}" if n == 0 else "]" if is_list else "}")


def read_child(reading: Reading, known: Known, closing: str, depth: int) -> Steps[None]:
    """A value and the tag that closes it."""
    source, output, types = reading.source, reading.output, known.types
    if types == {"string"}:
        yield from read_raw(reading, closing)
        return
    if "string" in types and types != ALL_TYPES:
        yield from read_either(reading, types, closing)
        return
    if types != ALL_TYPES:
        yield from source.blanks()
    if types in EMPTY and (yield from source.comes(closing)):
        output.arguments(EMPTY[types])
    elif (yield from source.comes(OPEN, CLOSE)) == OPEN:
        yield from read_children(reading, known, depth)
        yield from source.blanks()
    elif types != ALL_TYPES and (yield from source.comes(*JSON_STARTS)):
        yield from read_value(source, PYTHON, output.arguments)
        yield from source.blanks()
    else:
        yield from read_either(reading, types, closing)
        return
    if not (yield from source.take(closing)):
        raise NotACall


class Tags:
    """The rules of one tool's values."""

    def __init__(self, writer: GrammarWriter, schema: Arguments) -> None:
        self.writer, self.schema = writer, schema
        self.known: dict[tuple[Sequence, Expr], Ref] = {}

    def members(self, shape: Objects) -> Sequence:
        """Named properties alone: the tag that closes a value repeats its name."""
        return self.writer.properties(shape, lambda key, expr: (self.tag(key, expr),), others=False)

    def tag(self, key: Sequence, expr: Expr) -> Ref:
        if (key, expr) not in self.known:
            made = self.known[key, expr] = self.writer.rule("tag")
            name = b"".join(symbol.data for symbol in key if isinstance(symbol, Text)).decode()
            closing = f"{CLOSE}{name}>"
            self.writer.rules.rules[made.rule].alternatives = [
                (text(f"{OPEN}{name}>"), *value, text(closing)) for value in self.values(expr, closing)
            ]
        return self.known[key, expr]

    def values(self, expr: Expr, closing: str) -> list[Sequence]:
        """A choice that holds a string is any text: nothing would tell the others from it."""
        shapes = self.schema.shapes(expr)
        strings = [shape for shape in shapes if isinstance(shape, Strings)]
        if len(strings) < len(shapes):
            return [self.writer.any_text(closing)] if strings else [self.value(expr, shape) for shape in shapes]
        return [self.writer.raw(shape, closing) for shape in strings]

    def value(self, expr: Expr, shape: Shape) -> Sequence:
        if isinstance(shape, Objects) and shape.properties:
            return self.members(shape)
        if isinstance(shape, Arrays) and not shape.prefix and shape.rest not in (FALSE, TRUE):
            return (Repeat(self.tag((text(ITEM),), shape.rest).rule, shape.least, shape.most),)
        return (self.writer.json(self.schema, expr),)
