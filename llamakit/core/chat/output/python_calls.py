"""Calls as a list of Python calls: [name(key="value", other=[1, 2])]."""

from __future__ import annotations

from dataclasses import dataclass

from llamakit.core.chat.output.arguments import Arguments
from llamakit.core.chat.output.grammar_writer import GrammarWriter, text
from llamakit.core.chat.output.notation import PYTHON, escaped, read_value
from llamakit.core.chat.output.reading import Reading
from llamakit.core.chat.output.source import NotACall, Steps
from llamakit.core.grammar.rules import Sequence
from llamakit.core.grammar.schema_shapes import Expr
from llamakit.core.grammar.triggers import Triggers


@dataclass(frozen=True)
class PythonCalls:
    """The list stands between `start` and `end`. Values are Python's literals or JSON."""

    start: str
    end: str

    @property
    def starts(self) -> tuple[str, ...]:
        return (self.start,)

    # reading
    def read(self, reading: Reading) -> Steps[None]:
        source = reading.source
        while True:
            yield from source.take(self.start)
            yield from source.blanks()
            if not (yield from source.take("[")):
                raise NotACall
            mark = ","
            while mark == ",":
                yield from source.blanks()
                yield from read_python_call(reading)
                source.keep()
                yield from source.blanks()
                mark = yield from source.take(",", "]")
            if not mark:
                raise NotACall
            source.release()
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
        call = writer.each_tool(lambda arguments: self.written(writer, arguments))
        return (text(self.start + "["), *writer.list_of(call, text(", ")), text("]" + self.end))

    def written(self, writer: GrammarWriter, arguments: Arguments) -> Sequence:
        return (text(arguments.tool.name + "("), *python_arguments(writer, arguments), text(")"))

    def triggers(self, writer: GrammarWriter) -> Triggers:
        return Triggers(words=(self.start,))


def python_arguments(writer: GrammarWriter, arguments: Arguments) -> Sequence:
    """key=value, ..., the values as JSON, which is read too."""

    def argument(key: Sequence, expr: Expr) -> Sequence:
        return (*key, text("="), writer.json(arguments, expr))

    return writer.properties(arguments.object, argument, text(", "))


def read_python_call(reading: Reading) -> Steps[None]:
    """name(key=value, ...), as an object of its arguments."""
    source = reading.source
    name = yield from source.until("(")
    reading.begin_call(name.strip())
    yield from source.take("(")
    yield from read_python_arguments(reading)


def read_python_arguments(reading: Reading) -> Steps[None]:
    """key=value, ...), after the bracket that opens them."""
    source, output = reading.source, reading.output
    opening = "{"
    yield from source.blanks()
    while not (yield from source.take(")")):
        key = yield from source.until("=")
        yield from source.take("=")
        output.arguments(f'{opening}"{escaped(key.strip())}": ')
        opening = ", "
        yield from read_value(source, PYTHON, output.arguments)
        yield from source.blanks()
        if not (yield from source.take(",")) and not (yield from source.comes(")")):
            raise NotACall
        yield from source.blanks()
    output.arguments("{}" if opening == "{" else "}")
