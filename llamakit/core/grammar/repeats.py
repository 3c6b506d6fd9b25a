"""Repetitions that can be counted: what is repeated must read something each time."""

from __future__ import annotations

from llamakit.core.grammar.rules import Ref, Repeat, Rule, Rules, Sequence, Symbol, Text, is_empty


def spell_out(rules: Rules) -> Rules:
    """The same grammar, where what is counted never matches the empty text: a count of nothings has no end.

    x{m,n} with an x that may be empty is y{0,n}, where y is x without the empty text; x{1,1} is x.
    """
    return Solid(rules).spell_out()


class Solid:
    """Rules without the empty text ("solid"), made when first asked for."""

    def __init__(self, rules: Rules) -> None:
        self.old, self.nullable = rules, rules.nullable()
        self.new = Rules([Rule(rule.name) for rule in rules.rules], rules.root)
        self.made: dict[int, int] = {}  # old rule to its solid one
        self.todo: list[int] = []

    def spell_out(self) -> Rules:
        for old, new in zip(self.old.rules, [*self.new.rules], strict=True):
            new.alternatives = [tuple(map(self.plain, sequence)) for sequence in old.alternatives]
        while self.todo:
            rule = self.todo.pop()
            for sequence in self.old.rules[rule].alternatives:
                self.new.rules[self.made[rule]].alternatives += self.without_empty(sequence)
        return self.new

    def without_empty(self, sequence: Sequence) -> list[Sequence]:
        """Sequences that together match what `sequence` does, but the empty text: by the first symbol that reads."""
        out: list[Sequence] = []
        for i, symbol in enumerate(sequence):
            if symbol != Text(b"") and not (isinstance(symbol, Repeat) and symbol.most == 0):
                out.append((self.first(symbol), *map(self.plain, sequence[i + 1 :])))
            if not is_empty(symbol, self.nullable):
                break
        return out

    def plain(self, symbol: Symbol) -> Symbol:
        if not isinstance(symbol, Repeat):
            return symbol
        if symbol.least == symbol.most == 1:
            return Ref(symbol.rule)
        is_counted = symbol.most not in (None, 0, 1) or symbol.least > 1
        if is_counted and self.nullable[symbol.rule]:
            return Repeat(self.solid(symbol.rule), 0, symbol.most)
        return symbol

    def first(self, symbol: Symbol) -> Symbol:
        """The symbol where it must read something."""
        if isinstance(symbol, Ref):
            return Ref(self.solid(symbol.rule))
        if isinstance(symbol, Repeat):
            least = 1 if self.nullable[symbol.rule] else max(symbol.least, 1)
            return Repeat(self.solid(symbol.rule), least, symbol.most)
        return symbol

    def solid(self, rule: int) -> int:
        if not self.nullable[rule]:
            return rule
        if rule not in self.made:
            self.made[rule] = self.new.add(self.new.rules[rule].name)
            self.todo.append(rule)
        return self.made[rule]
