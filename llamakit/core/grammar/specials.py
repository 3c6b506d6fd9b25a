"""Control tokens where a grammar spells their text: `"<|channel|>"` is eight letters and marks, or the one token."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from llamakit.core.grammar.rules import Graph, Ref, Rule, Rules, Sequence, Symbol, Text, Token


def with_control_tokens(rules: Rules, control: Mapping[int, bytes]) -> Rules:
    """The rules, where literal texts of control tokens may be those tokens; the same object if there are none.

    Texts that are data (constants and keys of a schema) stay what they are: a control token means something else there.
    """
    named: dict[bytes, int] = {}
    for token, text in control.items():
        named.setdefault(text, token)
    if not named:
        return rules
    pattern = re.compile(b"|".join(map(re.escape, sorted(named, key=len, reverse=True))))
    if not any(
        isinstance(s, Text) and not s.is_data and pattern.search(s.data) for r in rules.rules for s in r.symbols()
    ):
        return rules
    return Speller(rules, named, pattern).rules


class Speller:
    def __init__(self, rules: Rules, named: dict[bytes, int], pattern: re.Pattern[bytes]) -> None:
        self.named, self.pattern = named, pattern
        self.rules = Rules([Rule(rule.name) for rule in rules.rules], rules.root)
        self.known: dict[bytes, Ref] = {}
        for old, new in zip(rules.rules, [*self.rules.rules], strict=True):
            new.alternatives = [self.sequence(symbols) for symbols in old.alternatives]

    def sequence(self, symbols: Sequence) -> Sequence:
        return tuple(made for symbol in symbols for made in self.symbol(symbol))

    def symbol(self, symbol: Symbol) -> Iterator[Symbol]:
        if isinstance(symbol, Graph) and not symbol.is_plain:
            edges = tuple(tuple((self.sequence(symbols), to) for symbols, to in row) for row in symbol.edges)
            yield Graph(edges, symbol.accepting)
        elif isinstance(symbol, Text) and not symbol.is_data:
            at = 0
            for found in self.pattern.finditer(symbol.data):
                yield Text(symbol.data[at : found.start()])
                yield self.either(found[0])
                at = found.end()
            yield Text(symbol.data[at:])
        else:
            yield symbol

    def either(self, text: bytes) -> Ref:
        """The text or its token."""
        if text not in self.known:
            self.known[text] = Ref(self.rules.add("special", (Text(text),), (Token(self.named[text]),)))
        return self.known[text]
