"""Objects of a schema to rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING

from llamakit.core.grammar.dfa import Dfa
from llamakit.core.grammar.fuel import spend
from llamakit.core.grammar.rules import Close, Count, Graph, Open, Ref, Requires, Sequence, Take, Text
from llamakit.core.grammar.schema_document import SchemaError
from llamakit.core.grammar.schema_shapes import FALSE, Expr, Keys, Objects, all_of
from llamakit.core.grammar.schema_strings import Strings, opposite

if TYPE_CHECKING:
    from llamakit.core.grammar.schema_rules import Writer

MOST_PATTERNS = 6  # of keys in one object: every combination of them is a kind of key
PROPERTY = 100  # steps
MOST_SOME = 4  # conditions on some property: one property may fulfil each combination of them


@dataclass(frozen=True, slots=True)
class Kind:
    """Keys that are not named: those of `keys`, with their values."""

    keys: Strings
    value: Expr
    some: tuple[int, ...]  # which of the conditions on some property speak of them


@dataclass(frozen=True, slots=True)
class Entry:
    """One way to write a property: whether it may come, whether it is counted, key and value."""

    guard: Sequence
    count: Sequence
    body: Sequence


def object_sequence(writer: Writer, o: Objects) -> Sequence | None:
    """Properties in any order: a bit each says that it was there; other keys may come as often as they like."""
    mentioned = [name for keys, _ in (*o.rules, *o.some) for name in sorted(keys.without)]
    values = o.values([*dict(o.properties), *o.required, *mentioned])
    if any(values[name] == FALSE for name in o.required):
        return None
    named = [name for name, value in values.items() if value != FALSE]
    spend(PROPERTY * len(named))
    kinds = list(kinds_of_keys(writer, o, frozenset(values)))
    members = Members(writer, o, named, values)
    n_optional = len(named) - len(o.required)
    if not kinds and o.least > len(named):
        return None
    if o.least - len(o.required) > (n_optional if not kinds else o.least):
        return None
    entries = [entry for name in named for entry in members.named(name)]
    entries += [entry for kind in kinds for entry in members.others(kind)]

    is_framed = bool(named or o.some or members.count)
    least = max(o.least - len(o.required), 0) if members.count else 0
    close: Sequence = (Close(members.needs, least),) if is_framed else ()
    opening: Sequence = (Open(),) if is_framed else ()
    needed = Requires(tuple(writer.value(values[name]) for name in o.required))
    return (needed, Text(b"{"), *opening, *writer.space, entries_graph(entries, close, writer.space))


def entries_graph(entries: list[Entry], close: Sequence, space: Sequence) -> Graph:
    """Entries one after the other. Before each, and before the comma, there must be one that may still come.

    Entries that are counted have a comma of their own, as the count goes up before it.
    """
    START, NEXT, END = range(3)
    edges: list[list[tuple[Sequence, int]]] = [[], [], []]
    for count in dict.fromkeys(entry.count for entry in entries):
        same = [entry for entry in entries if entry.count == count]
        comma, key = len(edges), len(edges) + 1
        guards = dict.fromkeys((*entry.guard, *count) for entry in same)
        edges[START] += [(guard, key) for guard in guards]
        edges[NEXT] += [(guard, comma) for guard in guards]
        edges.append([((Text(b","), *space), key)])
        edges.append([((*entry.guard, *entry.body), NEXT) for entry in same])
    edges[START].append(((*close, Text(b"}")), END))
    edges[NEXT].append(((*close, *space, Text(b"}")), END))
    return Graph(tuple(map(tuple, edges)), tuple(state == END for state in range(len(edges))))


def kinds_of_keys(writer: Writer, o: Objects, names: frozenset[str]) -> Iterator[Kind]:
    """The keys beside `names`, told apart by the patterns that speak of them."""
    dfas: dict[Dfa, None] = {}
    for keys, _ in (*o.rules, *o.some):
        dfas |= dict.fromkeys((*keys.inside, *keys.outside))
    if len(dfas) > MOST_PATTERNS:
        raise SchemaError(writer.schemas.pointer, f"more than {MOST_PATTERNS} patterns of keys meet in one object")
    for fits in product((True, False), repeat=len(dfas)):
        fit = dict(zip(dfas, fits, strict=True))

        def has(keys: Keys, fit: dict[Dfa, bool] = fit) -> bool:
            return all(fit[dfa] for dfa in keys.inside) and not any(fit[dfa] for dfa in keys.outside)

        value = all_of(*(expr for keys, expr in o.rules if has(keys)))
        if value == FALSE:
            continue
        patterns = frozenset(dfa if is_fit else opposite(dfa) for dfa, is_fit in fit.items())
        strings = Strings(patterns=patterns, excluded=names)
        if not strings.is_empty:
            yield Kind(strings, value, tuple(i for i, (keys, _) in enumerate(o.some) if has(keys)))


class Members:
    """The ways to write one property, with what is marked and counted before it."""

    def __init__(self, writer: Writer, o: Objects, named: list[str], values: dict[str, Expr]) -> None:
        self.writer, self.o, self.values = writer, o, values
        if len(o.some) > MOST_SOME:
            raise SchemaError(writer.schemas.pointer, f"more than {MOST_SOME} conditions on some property")
        self.bits = {name: 1 << i for i, name in enumerate(named)}
        self.all_bits = (1 << len(named)) - 1
        self.some_bits = [1 << len(named) + i for i in range(len(o.some))]
        self.required = sum(self.bits[name] for name in o.required)
        self.needs = self.required | sum(self.some_bits)
        self.count: Sequence = ()
        if o.most is not None or o.least > len(o.required):
            # required properties will all be there: the others share what room is left
            room = None if o.most is None else o.most - len(o.required)
            self.count = (Count(room, max(room or 0, o.least - len(o.required))),)

    def named(self, name: str) -> Iterator[Entry]:
        bit, value = self.bits[name], self.values[name]
        some = tuple(i for i, (keys, _) in enumerate(self.o.some) if keys.has(name))
        count = () if name in self.o.required else self.count
        before = self.required & (bit - 1) if self.writer.style.is_ordered else 0
        without = self.all_bits & ~(bit - 1) if self.writer.style.is_ordered else bit
        for marks, expr in self.fulfilled(some, value):
            yield Entry((Take(without, before, 0),), count, self.member(Strings((name,)), bit | marks, expr))

    def others(self, kind: Kind) -> Iterator[Entry]:
        needs = self.required if self.writer.style.is_ordered else 0
        take = (Take(0, needs, 0),) if needs else ()
        for marks, expr in self.fulfilled(kind.some, kind.value):
            yield Entry(take, self.count, self.member(kind.keys, marks, expr))

    def fulfilled(self, some: tuple[int, ...], value: Expr) -> Iterator[tuple[int, Expr]]:
        """The bits of the conditions that a value may fulfil, and what it must then be."""
        for n in range(len(some) + 1):
            for chosen in combinations(some, n):
                expr = all_of(value, *(self.o.some[i][1] for i in chosen))
                if expr != FALSE:
                    yield sum(self.some_bits[i] for i in chosen), expr

    def member(self, keys: Strings, marks: int, value: Expr) -> Sequence:
        """A key is marked after it was read: until then, all that may come share one stack."""
        key = self.writer.string(keys)
        take = (Take(0, 0, marks),) if marks else ()
        return (*key, *take, Text(b":"), *self.writer.space, Ref(self.writer.value(value)))
