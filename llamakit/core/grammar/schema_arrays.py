"""Arrays of a schema to rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING

from llamakit.core.grammar.rules import Close, Count, Graph, Open, Ref, Requires, Sequence, Symbol, Take, Text
from llamakit.core.grammar.schema_document import SchemaError
from llamakit.core.grammar.schema_numbers import Numbers
from llamakit.core.grammar.schema_shapes import (
    FALSE,
    TRUE,
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
    sure = n + (items.n_needed if n == 0 else 0)  # items that will be there: the others share what room is left
    is_counted = has_rest and (a.most is not None or a.least > max(sure, 1))
    rest_count: Sequence = ()
    if is_counted:
        rest_count = (Count(None if a.most is None else a.most - sure, max(a.most or 0, a.least, sure) - sure),)
    is_framed = is_counted or items.n_bits > 0
    loop = max(n, 1)  # after the first item, a comma is first
    ending = n + 1 if n else 2
    edges: list[list[tuple[Sequence, int]]] = [[] for _ in range(ending + 1)]

    def comma(state: int) -> Sequence:
        return (Text(b","), *writer.space) if state else ()

    # what must hold for an item to come is asked before the comma: with nothing to come, none may stand
    for state, item in enumerate(prefix):
        edges[state] += [((*way.guard, *comma(state), *way.body), state + 1) for way in items.ways(item, state)]
    if has_rest:
        for state in {n, loop}:
            for way in items.ways(a.rest, n):
                count = () if way.is_needed and n == 0 else rest_count
                edges[state].append(((*way.guard, *count, *comma(state), *way.body), loop))
    for state in range(ending):
        if state >= min(a.least, n + (not n and a.least > 0)):
            least = max(a.least - sure, 0) if is_counted and state >= n else 0
            close = (Close(items.needs, least),) if is_framed else ()
            end: Sequence = (*close, *(writer.space if state else ()), Text(b"]"))
            edges[state].append((end, ending))
    accepting = tuple(state == ending for state in range(ending + 1))
    needed = [writer.value(a.item(i)) for i in range(min(a.least, n + 1))]
    needed += [writer.value(all_of(c.item, *(() if prefix else (a.rest,)))) for c in a.contains if c.least]
    opening: tuple[Symbol, ...] = (Open(),) if is_framed else ()
    graph = Graph(tuple(map(tuple, edges)), accepting)
    return (Requires(tuple(needed)), Text(b"["), *opening, *writer.space, graph)


@dataclass(frozen=True, slots=True)
class Option:
    """How an item may be to `contains`: what must hold before it and is marked, what it then is."""

    guard: tuple[Symbol, ...] = ()
    expr: Expr = TRUE
    is_needed: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """How an item may be read and marked: what must hold before it, the item; is it one that `contains` asks for?"""

    guard: Sequence
    body: Sequence
    is_needed: bool = False


class Items:
    """What else an item may have to do: be counted for `contains`, be marked for `uniqueItems`."""

    def __init__(self, writer: Writer, a: Arrays) -> None:
        self.writer = writer
        self.contains = [c for c in a.contains if c.least > 0 or c.most is not None]
        self.chains: list[tuple[Contains, list[int]]] = []  # bits of the first, second ... item that is contained
        self.n_bits = self.needs = 0
        self.is_impossible = any(
            (c.most is not None and c.most < c.least) or (a.most is not None and c.skip + c.least > a.most)
            for c in self.contains
        )
        self.n_needed = self.contains[0].least if len(self.contains) == 1 else 0
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

    def literal_sequence(self, literal: Expr) -> Sequence:
        """One constant, spelled out here: it is read while it is known which ones are left."""
        return tuple(
            symbol for shape in self.writer.schemas.shapes(literal) for symbol in self.writer.sequence(shape) or ()
        )

    def ways(self, item: Expr, place: int) -> Iterator[Way]:
        """The ways of an item at a place."""
        if self.is_unique:
            for shape in self.writer.schemas.shapes(item):
                for literal in literals_of(shape) or ():
                    bit = self.marks[literal]
                    yield Way((Take(bit, 0, 0),), (*self.literal_sequence(literal), Take(0, 0, bit)))
            return
        options = [self.options(c, bits) if place >= c.skip else [Option()] for c, bits in self.chains]
        if prod(map(len, options)) > MOST_WAYS:
            raise SchemaError(self.writer.schemas.pointer, "contains: too much to count at once")
        for chosen in product(*options):
            expr = all_of(item, *(option.expr for option in chosen))
            if expr != FALSE:
                guard = tuple(take for option in chosen for take in option.guard)
                yield Way(guard, (Ref(self.writer.value(expr)),), any(option.is_needed for option in chosen))

    def options(self, c: Contains, bits: list[int]) -> list[Option]:
        """Counted, as the first, the second ... such item; or not: then it must be another one, if they are limited."""
        found = [Option((), TRUE if c.most is None else negated(c.item))]
        for i, bit in enumerate(bits):
            found.append(Option((Take(bit, bits[i - 1] if i else 0, bit),), c.item, i < c.least))
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
