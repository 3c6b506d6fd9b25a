"""Arrays of a schema to rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from math import prod
from typing import TYPE_CHECKING

from llamakit.core.grammar.rules import Close, Count, Graph, Open, Ref, Requires, Sequence, Symbol, Take, Text
from llamakit.core.grammar.schema_document import SchemaError
from llamakit.core.grammar.schema_numbers import Numbers
from llamakit.core.grammar.schema_shapes import (
    FALSE,
    Arrays,
    Bools,
    Contains,
    Expr,
    Literal,
    Null,
    Shape,
    all_of,
    negated,
)
from llamakit.core.grammar.schema_strings import Strings

if TYPE_CHECKING:
    from llamakit.core.grammar.schema_rules import Writer

MOST_CONTAINED = 256  # items that are counted for contains
MOST_WAYS = 1000  # of one item, to be counted or not


def array_sequence(writer: Writer, a: Arrays) -> Sequence | None:
    """Items one after the other: state n is after n items, as long as each has its own schema, the last one after."""
    skip = max((c.skip for c in a.contains), default=0)
    prefix = [a.item(i) for i in range(max(len(a.prefix), skip))][: a.most]
    n = len(prefix)
    items = Items(writer, a)
    if items.is_impossible:
        return None
    has_rest = a.rest != FALSE and (a.most is None or a.most > n)
    is_counted = has_rest and (a.most is not None or a.least > max(n, 1))
    rest_count = (Count(None if a.most is None else a.most - n, max(a.most or 0, a.least) - n),) if is_counted else ()
    is_framed = is_counted or items.n_bits > 0
    loop = max(n, 1)  # after the first item, a comma is first
    ending = n + 1 if n else 2
    edges: list[list[tuple[Sequence, int]]] = [[] for _ in range(ending + 1)]

    def comma(state: int) -> Sequence:
        return (Text(b","), *writer.space) if state else ()

    for state, item in enumerate(prefix):
        edges[state] += [((*comma(state), *way), state + 1) for way in items.ways(item, state)]
    if has_rest:
        for state in {n, loop}:
            edges[state] += [((*comma(state), *rest_count, *way), loop) for way in items.ways(a.rest, n)]
    for state in range(ending):
        if state >= min(a.least, n + (not n and a.least > 0)):
            close = (Close(items.needs, max(a.least - n, 0) if is_counted and state >= n else 0),) if is_framed else ()
            end: Sequence = (*close, *(writer.space if state else ()), Text(b"]"))
            edges[state].append((end, ending))
    accepting = tuple(state == ending for state in range(ending + 1))
    needed = [writer.value(a.item(i)) for i in range(min(a.least, n + 1))]
    opening: tuple[Symbol, ...] = (Open(),) if is_framed else ()
    graph = Graph(tuple(map(tuple, edges)), accepting)
    return (Requires(tuple(needed)), Text(b"["), *opening, *writer.space, graph)


class Items:
    """What else an item may have to do: be counted for `contains`, be marked for `uniqueItems`."""

    def __init__(self, writer: Writer, a: Arrays) -> None:
        self.writer = writer
        self.contains = [c for c in a.contains if c.least > 0 or c.most is not None]
        self.chains: list[tuple[Contains, list[int]]] = []  # bits of the first, second ... item that is contained
        self.n_bits = self.needs = 0
        self.is_impossible = any(c.most is not None and c.most < c.least for c in self.contains)
        for c in self.contains:
            length = c.least if c.most is None else c.most
            if length > MOST_CONTAINED:
                raise SchemaError(writer.schemas.pointer, f"contains: more than {MOST_CONTAINED} items to count")
            bits = [1 << self.n_bits + i for i in range(length)]
            self.n_bits += length
            self.needs |= sum(bits[: c.least])
            self.chains.append((c, bits))
        self.marks: dict[Expr, int] = {}  # the bits of the constants that must not come twice
        self.is_unique = a.unique_at is not None and (a.most is None or a.most > 1)
        if self.is_unique:
            places = (*a.prefix, a.rest) if a.most is None or a.most > len(a.prefix) else a.prefix
            for literal in dict.fromkeys(literal for item in places for literal in self.literals(item, a)):
                self.marks[literal] = 1 << self.n_bits
                self.n_bits += 1
            self.is_impossible |= a.least > len(self.marks)

    def literals(self, item: Expr, a: Arrays) -> list[Expr]:
        """The values that an item may have."""
        found: list[Expr] = []
        for shape in self.writer.schemas.shapes(item):
            literals = literals_of(shape)
            if literals is None or self.contains:
                message = "uniqueItems is supported only for items out of a list of constants (enum, const)"
                raise SchemaError(a.unique_at or "", message)
            found += literals
        return found

    def ways(self, item: Expr, place: int) -> Iterator[Sequence]:
        """How an item may be read and marked."""
        if self.is_unique:
            for shape in self.writer.schemas.shapes(item):
                for literal in literals_of(shape) or ():
                    bit = self.marks[literal]
                    yield (Take(bit, 0, bit), Ref(self.writer.value(literal)))
            return
        options = [self.options(c, bits) if place >= c.skip else [((), None)] for c, bits in self.chains]
        if prod(map(len, options)) > MOST_WAYS:
            raise SchemaError(self.writer.schemas.pointer, "contains: too much to count at once")
        for chosen in product(*options):
            expr = all_of(item, *(e for _, e in chosen if e is not None))
            if expr != FALSE:
                yield (*(symbol for takes, _ in chosen for symbol in takes), Ref(self.writer.value(expr)))

    def options(self, c: Contains, bits: list[int]) -> list[tuple[tuple[Symbol, ...], Expr | None]]:
        """Counted, as the first, the second ... such item; or not: then it must be another one, if they are limited."""
        found: list[tuple[tuple[Symbol, ...], Expr | None]] = [((), None if c.most is None else negated(c.item))]
        for i, bit in enumerate(bits):
            found.append(((Take(bit, bits[i - 1] if i else 0, bit),), c.item))
        return found


def literals_of(shape: Shape) -> list[Expr] | None:
    """The values of a shape; None if they cannot be listed."""
    match shape:
        case Null():
            return [Literal("null")]
        case Bools(values):
            return [Literal(json.dumps(value)) for value in sorted(values)]
        case Strings(literals) if literals is not None:
            return [Literal(json.dumps(text)) for text in literals]
        case Numbers() if shape.single is not None:
            value = shape.single
            return [Literal(str(value.numerator) if value.denominator == 1 else repr(float(value)))]
    return None
