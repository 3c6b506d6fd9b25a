"""Pieces of grammars for calls, in which the tools' schemas are embedded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from llamakit.core.chat.output.arguments import Arguments, value_of
from llamakit.core.grammar.dfa import Dfa, intersection, negation, other_than
from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.fuel import limited
from llamakit.core.grammar.graphs import graph_of
from llamakit.core.grammar.prune import prune
from llamakit.core.grammar.regex_dfa import search, whole
from llamakit.core.grammar.regex_rules import regex_rules
from llamakit.core.grammar.rules import (
    Close,
    Graph,
    Open,
    Ref,
    Repeat,
    Requires,
    Rules,
    Sequence,
    Symbol,
    Take,
    Text,
)
from llamakit.core.grammar.schema_document import SchemaError
from llamakit.core.grammar.schema_rules import MOST_STEPS, JsonStyle, Writer
from llamakit.core.grammar.schema_shapes import FALSE, At, Expr, Objects
from llamakit.core.grammar.schema_strings import Strings

WHOLE = At("")
KEY = r"[A-Za-z_][\w-]{0,63}"  # of a property that the schema does not name
OTHER_KEY = "\0"  # a name that no schema has
SPACE = r"(?: |\n{1,2}[ \t]{0,20})?"

Write = Callable[[Sequence, Expr], Sequence]


class GrammarWriter:
    """Makes the rules of one grammar. `tools`: those that may be called; `is_parallel`: more than once."""

    def __init__(self, tools: Iterable[Arguments], is_parallel: bool) -> None:
        self.rules = Rules()
        self.tools, self.is_parallel = tuple(tools), is_parallel
        self.known: dict[object, Ref] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(arguments.tool.name for arguments in self.tools)

    def rule(self, name: str, *alternatives: Sequence) -> Ref:
        return Ref(self.rules.add(name, *alternatives))

    def optional(self, *symbols: Symbol) -> Ref:
        return self.rule("optional", (), symbols)

    def many(self, *symbols: Symbol, least: int = 0) -> Repeat:
        return Repeat(self.rules.add("many", symbols), least, None)

    def each_tool(self, make: Callable[[Arguments], Sequence]) -> Ref:
        """One of the tools, written as `make` says."""
        return self.rule("tool", *(make(arguments) for arguments in self.tools))

    def list_of(self, item: Ref, *separator: Symbol) -> Sequence:
        """One call, or more of them where that is asked for."""
        return (item, self.many(*separator, item)) if self.is_parallel else (item,)

    def one_of(self, *texts: str) -> Symbol:
        return text(texts[0]) if len(texts) == 1 else self.rule("one", *((text(value),) for value in texts))

    @property
    def space(self) -> Ref:
        """Nothing, a blank, or new lines."""
        return self.pattern(SPACE)

    def pattern(self, pattern: str) -> Ref:
        """What a regular expression matches."""
        return self.once(("pattern", pattern), lambda: regex_rules(pattern))

    def json(self, arguments: Arguments, expr: Expr = WHOLE) -> Ref:
        """A value of a tool's schema, as JSON: all arguments, or what `expr` says. Raises ToolError."""

        def make() -> Rules:
            writer = Writer(arguments.schemas, JsonStyle())
            try:
                with limited(MOST_STEPS):
                    writer.write(expr)
            except SchemaError as error:
                raise arguments.error(error) from None
            except GrammarError as error:
                raise arguments.error(SchemaError(writer.schemas.pointer, str(error))) from None
            rules = prune(writer.rules)
            if not rules.rules[rules.root].alternatives:
                raise arguments.error(SchemaError("", "no value fits it: its parts contradict each other"))
            return rules

        return self.once((arguments.tool.name, expr), make)

    def once(self, key: object, make: Callable[[], Rules]) -> Ref:
        if key not in self.known:
            self.known[key] = self.embed(make())
        return self.known[key]

    def embed(self, rules: Rules) -> Ref:
        """Another grammar as a part of this one."""
        shift = len(self.rules.rules)
        for rule in rules.rules:
            self.rules.add(rule.name, *(tuple(shifted(s, shift) for s in seq) for seq in rule.alternatives))
        return Ref(rules.root + shift)

    def raw(self, strings: Strings, *ends: str) -> Sequence:
        """A string without quotes, in which none of `ends` stands."""
        if strings.literals is not None:
            dfa, least, most = strings.whole_dfa(), 0, None
        else:
            dfa, least, most = strings.with_lengths()
        graph = graph_of(intersection(dfa, without(ends)), False, least, most)
        return (Open(), graph, Close(0, least)) if least or most is not None else (graph,)

    def any_text(self, *ends: str) -> Sequence:
        return self.raw(Strings(), *ends)

    def properties(self, shape: Objects, write: Write, *separator: Symbol, others: bool = True) -> Sequence:
        """The properties of an object in any order, each at most once; `write` makes one of a key and its schema.

        others: those that have no name in the schema, too, as far as it allows them.
        """
        _, MORE, NEXT, END = range(4)  # the first state is the start
        named = {name: value_of(shape, name) for name in dict.fromkeys([*dict(shape.properties), *shape.required])}
        ways, needs = [], 0
        for i, (name, expr) in enumerate(named.items()):
            if expr != FALSE:
                ways.append(((Take(1 << i, 0, 1 << i), *write((text(name),), expr)), NEXT))
                needs |= (name in shape.required) << i
        other = value_of(shape, OTHER_KEY)
        if others and other != FALSE:
            key = graph_of(intersection(whole(KEY), other_than(named)), is_json=False)
            ways.append((write((key,), other), NEXT))
        if not ways:
            return ()
        close = ((Close(needs),), END)  # the marks are known only in the graph itself, not in rules that it calls
        edges = ((*ways, close), tuple(ways), ((separator, MORE), close), ())
        return (Open(), Graph(edges, (False, False, False, True)))


@lru_cache(256)
def without(texts: tuple[str, ...]) -> Dfa:
    """All strings in which none of the texts stands."""
    pattern = "|".join(map(quoted, texts))
    return negation(search(pattern))


def quoted(text: str) -> str:
    """A pattern that matches just this text."""
    return re.sub(r"([^\w\s])", r"\\\1", text)


def shifted(symbol: Symbol, by: int) -> Symbol:
    """The same symbol where all rules have other numbers."""
    match symbol:
        case Ref(rule):
            return Ref(rule + by)
        case Repeat(rule, least, most):
            return Repeat(rule + by, least, most)
        case Requires(rules):
            return Requires(tuple(rule + by for rule in rules))
        case Graph(edges, accepting, is_plain) if not is_plain:
            moved = tuple(
                tuple((tuple(shifted(s, by) for s in sequence), to) for sequence, to in ways) for ways in edges
            )
            return Graph(moved, accepting)
    return symbol


def text(value: str) -> Text:
    return Text(value.encode())
