"""What every kind of grammar is turned into: rules, each a choice of sequences of symbols. Nothing is nested."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from llamakit.core.grammar.charset import Ranges


@dataclass(frozen=True, slots=True)
class Text:
    """Bytes, as they are; `is_data`: not even where a control token has this text may it stand for them."""

    data: bytes
    is_data: bool = False


@dataclass(frozen=True, slots=True)
class Chars:
    """One character out of ranges of code points: in UTF-8, or as it may be written within a JSON string."""

    ranges: Ranges
    is_json: bool = False


@dataclass(frozen=True, slots=True)
class Ref:
    rule: int


@dataclass(frozen=True, slots=True)
class Repeat:
    """A rule `least` to `most` times (None: any number)."""

    rule: int
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Token:
    """One whole token, by id or by its text; `is_negated`: any other one."""

    token: int | str
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class Open:
    """Begin to count and to mark, until the matching Close: bits and a count, both zero."""


@dataclass(frozen=True, slots=True)
class Take:
    """Go on only if no bit of `without` and all bits of `needs` are marked; then mark `marks`."""

    without: int
    needs: int
    marks: int


@dataclass(frozen=True, slots=True)
class Count:
    """Count one more; go on only if it was less than `most`. From `stay` on the count stays."""

    most: int | None
    stay: int


@dataclass(frozen=True, slots=True)
class Close:
    """Go on only if the bits of `needs` are marked and the count is `least`; forget both."""

    needs: int = 0
    least: int = 0


@dataclass(frozen=True, slots=True)
class Requires:
    """Go on only if each of these rules matches some text."""

    rules: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """A finite automaton whose edges read sequences of symbols: (sequence, next state). It starts in state 0.

    is_plain: there are no rules in it, and every state leads to an end.
    """

    edges: tuple[tuple[tuple[Sequence, int], ...], ...]  # of each state
    accepting: tuple[bool, ...]
    is_plain: bool = False


Symbol = Text | Chars | Ref | Repeat | Token | Open | Take | Count | Close | Requires | Graph
Sequence = tuple[Symbol, ...]


@dataclass(slots=True)
class Rule:
    """`alternatives` is empty where nothing matches; an empty sequence matches the empty text."""

    name: str
    alternatives: list[Sequence] = field(default_factory=list)

    def references(self) -> Iterator[int]:
        for symbol in self.symbols():
            if isinstance(symbol, (Ref, Repeat)):
                yield symbol.rule

    def symbols(self) -> Iterator[Symbol]:
        """All but those of plain graphs."""
        queue = [*self.alternatives]
        while queue:
            for symbol in queue.pop():
                yield symbol
                if isinstance(symbol, Graph) and not symbol.is_plain:
                    queue += [sequence for edges in symbol.edges for sequence, _ in edges]


@dataclass(slots=True)
class Rules:
    """A grammar. Texts are what `rules[root]` matches."""

    rules: list[Rule] = field(default_factory=list)
    root: int = 0

    def add(self, name: str, *alternatives: Sequence) -> int:
        self.rules.append(Rule(name, list(alternatives)))
        return len(self.rules) - 1

    def nullable(self) -> list[bool]:
        """Which rules match the empty text."""

        def is_nullable(rule: int, found: list[bool]) -> bool:
            return any(all(is_empty(symbol, found) for symbol in seq) for seq in self.rules[rule].alternatives)

        return settle([[*rule.references()] for rule in self.rules], is_nullable)

    def left_recursion(self) -> list[int] | None:
        """A cycle of rules that call each other before anything is read, or None."""
        found = self.nullable()
        first: list[list[int]] = []
        for rule in self.rules:
            calls = []
            for sequence in rule.alternatives:
                for symbol in sequence:
                    if isinstance(symbol, (Ref, Repeat)) and not (isinstance(symbol, Repeat) and symbol.most == 0):
                        calls.append(symbol.rule)
                    if not is_empty(symbol, found):
                        break
            first.append(calls)
        return find_cycle(first)


def settle(needs: list[list[int]], holds: Callable[[int, list[bool]], bool]) -> list[bool]:
    """Of which rules something holds, where that depends on whether it does of those they need.

    A rule is looked at again when it was found of one it needs; not at once, as it may need more of those at hand.
    """
    users: list[list[int]] = [[] for _ in needs]
    for rule, used in enumerate(needs):
        for other in used:
            users[other].append(rule)
    found = [False] * len(needs)
    is_waiting = [True] * len(needs)
    queue = deque(reversed(range(len(needs))))
    while queue:
        rule = queue.popleft()
        is_waiting[rule] = False
        if not found[rule] and holds(rule, found):
            found[rule] = True
            for user in users[rule]:
                if not is_waiting[user]:
                    is_waiting[user] = True
                    queue.append(user)
    return found


def is_empty(symbol: Symbol, nullable: list[bool]) -> bool:
    """Whether a symbol may read nothing."""
    if isinstance(symbol, Repeat):
        return symbol.least == 0 or nullable[symbol.rule]
    if isinstance(symbol, Ref):
        return nullable[symbol.rule]
    if isinstance(symbol, Text):
        return not symbol.data
    if isinstance(symbol, Graph):
        return symbol.accepting[0]
    return isinstance(symbol, (Open, Take, Count, Close, Requires))


def find_cycle(edges: list[list[int]]) -> list[int] | None:
    """A cycle of a directed graph, in order, or None."""
    NEW, OPEN, DONE = 0, 1, 2
    mark = [NEW] * len(edges)
    for start in range(len(edges)):
        if mark[start] != NEW:
            continue
        mark[start] = OPEN
        path, iterators = [start], [iter(edges[start])]
        while path:
            following = next(iterators[-1], None)
            if following is None:
                mark[path.pop()] = DONE
                iterators.pop()
            elif mark[following] == OPEN:
                return path[path.index(following) :]
            elif mark[following] == NEW:
                mark[following] = OPEN
                path.append(following)
                iterators.append(iter(edges[following]))
    return None
