"""Calls in Gemma's own notation: call:NAME{key:<|"|>text<|"|>,other:[1,2]}."""

from __future__ import annotations

from dataclasses import dataclass

from llamakit.core.chat.output.arguments import Arguments
from llamakit.core.chat.output.grammar_writer import GrammarWriter, text
from llamakit.core.chat.output.notation import GEMMA, read_value
from llamakit.core.chat.output.reading import Reading
from llamakit.core.chat.output.source import Steps
from llamakit.core.grammar.graphs import graph_of
from llamakit.core.grammar.rules import Ref, Repeat, Sequence
from llamakit.core.grammar.schema_numbers import Numbers, number_dfa
from llamakit.core.grammar.schema_shapes import FALSE, Arrays, Bools, Expr, Null, Objects, Shape
from llamakit.core.grammar.schema_strings import Strings
from llamakit.core.grammar.triggers import Triggers

QUOTE = GEMMA.quotes[0]


@dataclass(frozen=True)
class GemmaCalls:
    start: str = "<|tool_call>call:"
    end: str = "<tool_call|>"

    @property
    def starts(self) -> tuple[str, ...]:
        return (self.start,)

    # reading
    def read(self, reading: Reading) -> Steps[None]:
        source = reading.source
        while True:
            yield from source.take(self.start)
            name = yield from source.until("{")
            reading.begin_call(name.strip())
            yield from read_value(source, GEMMA, reading.output.arguments)
            source.keep()
            yield from source.blanks()
            if (yield from source.take(self.end)):
                source.keep()
                yield from source.blanks()
            if not (yield from source.comes(self.start)):
                source.go_back()
                return

    # writing
    def sequence(self, writer: GrammarWriter) -> Sequence:
        call = writer.each_tool(lambda arguments: (text(arguments.tool.name), Values(writer, arguments).arguments()))
        return writer.list_of(writer.rule("call", (text(self.start), call, text(self.end))))

    def triggers(self, writer: GrammarWriter) -> Triggers:
        return Triggers(words=(self.start,))


class Values:
    """The rules of one tool's values."""

    def __init__(self, writer: GrammarWriter, arguments: Arguments) -> None:
        self.writer, self.schema = writer, arguments
        self.known: dict[Expr, Ref] = {}

    def arguments(self) -> Ref:
        return self.writer.rule("arguments", self.object(self.schema.object))

    def value(self, expr: Expr) -> Ref:
        if expr not in self.known:
            rule = self.known[expr] = self.writer.rule("value")
            self.writer.rules.rules[rule.rule].alternatives = [self.shape(s) for s in self.schema.shapes(expr)]
        return self.known[expr]

    def shape(self, shape: Shape) -> Sequence:
        match shape:
            case Null():
                return (text("null"),)
            case Bools(values):
                return (self.writer.rule("word", *((text(str(value).lower()),) for value in sorted(values))),)
            case Numbers():
                return (graph_of(number_dfa(shape), is_json=False),)
            case Strings():
                return (text(QUOTE), *self.writer.raw(shape, QUOTE), text(QUOTE))
            case Objects():
                return self.object(shape)
            case Arrays():
                return self.array(shape)

    def object(self, shape: Objects) -> Sequence:
        def member(key: Sequence, expr: Expr) -> Sequence:
            return (*key, text(":"), self.value(expr))

        return (text("{"), *self.writer.properties(shape, member, text(",")), text("}"))

    def array(self, shape: Arrays) -> Sequence:
        if shape.prefix:
            first, *others = map(self.value, shape.prefix)
            return (text("["), first, *(symbol for item in others for symbol in (text(","), item)), text("]"))
        if shape.rest == FALSE or shape.most == 0:
            return (text("[]"),)
        item = self.value(shape.rest)
        most = None if shape.most is None else shape.most - 1
        more = Repeat(self.writer.rule("more", (text(","), item)).rule, max(shape.least - 1, 0), most)
        items = self.writer.rule("items", (item, more))
        return (text("["), items if shape.least else self.writer.optional(items), text("]"))
