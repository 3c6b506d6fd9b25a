"""Schemas to rules: which JSON texts of the values they allow.

Properties stand in any order, or (`is_ordered`) in that of the schema, others after them. After `{ [ , :` and before
`} ]` there may be a blank, or one or two line ends and up to 64 blanks (`has_spaces`). Within keys, constants and
strings with a pattern or a length, printable ASCII is written as itself; other characters, in either way JSON knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llamakit.core.grammar.charset import union
from llamakit.core.grammar.dfa import EVERYTHING, any_of
from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.fuel import limited, spend
from llamakit.core.grammar.graphs import graph_of
from llamakit.core.grammar.json_text import RAW
from llamakit.core.grammar.prune import prune
from llamakit.core.grammar.rules import Chars, Close, Open, Ref, Repeat, Rules, Sequence, Text
from llamakit.core.grammar.schema import Schemas
from llamakit.core.grammar.schema_arrays import array_sequence
from llamakit.core.grammar.schema_document import Document, SchemaError, load
from llamakit.core.grammar.schema_numbers import Numbers, number_dfa
from llamakit.core.grammar.schema_objects import object_sequence
from llamakit.core.grammar.schema_shapes import Arrays, At, Bools, Expr, Null, Objects, Shape
from llamakit.core.grammar.schema_strings import Strings

BLANKS = union([(0x09, 0x09), (0x20, 0x20)])
HEX = union([(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)])
ESCAPED = tuple((ord(c), ord(c)) for c in '"/\\bfnrt')
MOST_BLANKS = 64
MOST_STEPS = 1_000_000  # to work out a schema: some seconds
EXPRESSION = 5  # steps


@dataclass(frozen=True, slots=True)
class JsonStyle:
    """Which of the texts of a value are allowed."""

    is_ordered: bool = False
    has_spaces: bool = True


USUAL_STYLE = JsonStyle()


def schema_rules(schema: Any, style: JsonStyle = USUAL_STYLE) -> Rules:
    """The grammar of a JSON schema: its text, or the same as Python values. Raises SchemaError with a pointer."""
    document = Document(load(schema) if isinstance(schema, str) else schema)
    writer = Writer(Schemas(document), style)
    try:
        with limited(MOST_STEPS):
            writer.write(At(""))
    except SchemaError:
        raise
    except RecursionError:
        raise SchemaError(writer.schemas.pointer, "nested too deeply") from None
    except GrammarError as error:
        raise SchemaError(writer.schemas.pointer, str(error)) from None
    rules = prune(writer.rules)
    if not rules.rules[rules.root].alternatives:
        raise SchemaError("", "no JSON value fits it: its parts contradict each other")
    return rules


class Writer:
    """Makes a rule for every expression, once; what is within waits in a queue, so nothing recurses."""

    def __init__(self, schemas: Schemas, style: JsonStyle) -> None:
        self.schemas, self.style = schemas, style
        self.rules = Rules()
        self.values: dict[Expr, int] = {}
        self.todo: list[Expr] = []
        self.shared: dict[Any, int] = {}
        self.space: Sequence = (Ref(self.add_space()),) if style.has_spaces else ()

    def write(self, root: Expr) -> None:
        self.rules.root = self.value(root)
        while self.todo:
            expr = self.todo.pop()
            spend(EXPRESSION)
            self.schemas.pointer = expr.pointer if isinstance(expr, At) else self.schemas.pointer
            sequences = [self.sequence(shape) for shape in self.schemas.shapes(expr)]
            self.rules.rules[self.values[expr]].alternatives = [s for s in sequences if s is not None]

    def value(self, expr: Expr) -> int:
        """The rule of an expression."""
        if expr not in self.values:
            self.values[expr] = self.rules.add(expr.pointer if isinstance(expr, At) else "value")
            self.todo.append(expr)
        return self.values[expr]

    def sequence(self, shape: Shape) -> Sequence | None:
        """The texts of a shape; None if there are none."""
        match shape:
            case Null():
                return (Text(b"null"),)
            case Bools(values):
                texts = [b"true"] * (True in values) + [b"false"] * (False in values)
                return (Ref(self.share(shape, lambda: [(Text(text),) for text in texts])),)
            case Numbers():
                return (Ref(self.share(shape, lambda: [(graph_of(number_dfa(shape), is_json=False),)])),)
            case Strings():
                return self.string(shape)
            case Arrays():
                return array_sequence(self, shape)
            case Objects():
                return object_sequence(self, shape)

    def share(self, key: Any, make: Callable[[], list[Sequence]]) -> int:
        """One rule for all equal strings, numbers and the like."""
        if key not in self.shared:
            self.shared[key] = self.rules.add("shared", *make())
        return self.shared[key]

    def add_space(self) -> int:
        line_end = self.rules.add("line-end", (Text(b"\n"),), (Text(b"\r\n"),))
        blank = self.rules.add("blank", (Chars(BLANKS),))
        indent = (Repeat(line_end, 1, 2), Repeat(blank, 0, MOST_BLANKS))
        return self.rules.add("space", (), (Chars(BLANKS),), indent)

    # strings
    def string(self, strings: Strings) -> Sequence:
        if strings.literals is not None and len(strings.literals) == 1:
            return spelled(strings.literals[0])
        return (Ref(self.share(strings, lambda: [self.quoted(strings)])),)

    def quoted(self, strings: Strings) -> Sequence:
        if strings.literals is not None:
            return (Text(b'"'), graph_of(any_of(strings.literals)), Text(b'"'))
        dfa, least, most = strings.with_lengths()
        if dfa is EVERYTHING and least == 0 and most is None:
            return (Text(b'"'), Repeat(self.share("char", self.any_char), 0, None), Text(b'"'))
        if least == 0 and most is None:
            return (Text(b'"'), graph_of(dfa), Text(b'"'))
        return (Text(b'"'), Open(), graph_of(dfa, least=least, most=most), Close(0, least), Text(b'"'))

    def any_char(self) -> list[Sequence]:
        """A character where nothing is said of it: every escape, even of half a surrogate pair."""
        digits = (Chars(HEX),) * 4
        return [(Chars(RAW),), (Text(b"\\"), Chars(union(ESCAPED))), (Text(b"\\u"), *digits)]


def spelled(text: str) -> Sequence:
    """One string as JSON."""
    if text.isascii() and text.isprintable() and not set(text) & {'"', "\\"}:
        return (Text(f'"{text}"'.encode(), is_data=True),)
    return (Text(b'"'), *(Chars(((ord(char), ord(char)),), is_json=True) for char in text), Text(b'"'))
