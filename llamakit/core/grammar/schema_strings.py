"""Strings of a schema: patterns, formats, lengths, and what combinations of them leave."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache, reduce

from llamakit.core.grammar.dfa import EVERYTHING, Dfa, any_of, intersection, lengths, negation, other_than
from llamakit.core.grammar.regex import Begin, Concat, End, One, Repeated, parse_regex
from llamakit.core.grammar.regex_dfa import search, whole_tree

COMBINED_AT_MOST = 4000  # states of a pattern times the length it is given


@dataclass(frozen=True, slots=True)
class Strings:
    """The strings that all `patterns` accept, with `least` to `most` characters, and not among `excluded`.

    `literals`, where given, are all there are: nothing else is then set.
    """

    literals: tuple[str, ...] | None = None
    excluded: frozenset[str] = frozenset()
    patterns: frozenset[Dfa] = frozenset()
    least: int = 0
    most: int | None = None

    def accepts(self, text: str) -> bool:
        if self.literals is not None:
            return text in self.literals
        is_long_enough = self.least <= len(text) and (self.most is None or len(text) <= self.most)
        return is_long_enough and text not in self.excluded and all(p.accepts(text) for p in self.patterns)

    def meet(self, other: Strings) -> Strings | None:
        """What is in both; None if that is nothing."""
        if self.literals is None and other.literals is not None:
            return other.meet(self)
        if self.literals is not None:
            kept = tuple(text for text in self.literals if other.accepts(text))
            return Strings(kept) if kept else None
        mosts = [m for m in (self.most, other.most) if m is not None]
        met = Strings(
            None,
            self.excluded | other.excluded,
            self.patterns | other.patterns,
            max(self.least, other.least),
            min(mosts) if mosts else None,
        )
        return None if met.is_empty else met

    @property
    def is_empty(self) -> bool:
        if self.literals is not None:
            return not self.literals
        if self.most is not None and self.least > self.most:
            return True
        if not self.patterns:
            return False
        dfa = self.dfa()
        return dfa.is_empty or (self.most is not None and dfa.shortest[0] > self.most)

    def negation(self) -> list[Strings]:
        """All other strings, in parts."""
        if self.literals is not None:
            return [Strings(excluded=frozenset(self.literals))]
        out = [Strings(tuple(sorted(self.excluded)))] if self.excluded else []
        if self.least > 0:
            out.append(Strings(most=self.least - 1))
        if self.most is not None:
            out.append(Strings(least=self.most + 1))
        return out + [Strings(patterns=frozenset([opposite(p)])) for p in self.patterns if not opposite(p).is_empty]

    def joined(self, other: Strings) -> Strings:
        """What is in both, even if that is nothing."""
        return self.meet(other) or Strings(())

    def whole_dfa(self) -> Dfa:
        """One automaton for all of it."""
        if self.literals is not None:
            return any_of(self.literals)
        dfa = self.dfa()
        is_any_length = self.least == 0 and self.most is None
        return dfa if is_any_length else intersection(dfa, lengths(self.least, self.most))

    def dfa(self) -> Dfa:
        """All but the lengths."""
        return combined(self.patterns, self.excluded)

    def with_lengths(self) -> tuple[Dfa, int, int | None]:
        """One automaton, and the lengths that it does not know yet."""
        dfa = self.dfa()
        bound = self.least if self.most is None else self.most
        if dfa is EVERYTHING or (self.least == 0 and self.most is None) or bound * len(dfa.edges) > COMBINED_AT_MOST:
            return dfa, self.least, self.most
        return intersection(dfa, lengths(self.least, self.most)), 0, None


@lru_cache(64)
def combined(patterns: frozenset[Dfa], excluded: frozenset[str]) -> Dfa:
    dfa = reduce(intersection, sorted(patterns, key=lambda p: len(p.edges)), EVERYTHING)
    return intersection(dfa, other_than(excluded)) if excluded else dfa


@lru_cache(64)
def opposite(pattern: Dfa) -> Dfa:
    return negation(pattern)


@lru_cache(64)
def pattern_strings(pattern: str) -> Strings:
    """The same; ^[set]{m,n}$ as lengths, so that large ones need no large automaton."""
    tree = parse_regex(pattern)
    parts = tree.parts if isinstance(tree, Concat) else ()
    match parts:
        case (Begin(), Repeated(One(ranges), least, most), End()):
            one = whole_tree(Repeated(One(ranges), 0, None))
            return Strings(patterns=frozenset([one]), least=least, most=most)
    return Strings(patterns=frozenset([search(pattern)]))


def merge_literals(parts: Iterable[Strings]) -> list[Strings]:
    """The same strings with all literals in one part."""
    literals: dict[str, None] = {}
    out = []
    for part in parts:
        if part.literals is None:
            out.append(part)
        else:
            literals |= dict.fromkeys(part.literals)
    return [*out, Strings(tuple(literals))] if literals else out
