"""Deterministic automata over characters: what patterns, formats and exclusions of strings become, to be combined."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from llamakit.core.grammar.charset import ANY, Ranges, complement
from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.fuel import spend

MOST_STATES = 20_000
STATE = 5  # steps, of a state that is a text's own

S = TypeVar("S", bound=Hashable)
Edges = tuple[tuple[int, int, int], ...]  # first character, last character, next state; ascending, disjoint


@dataclass(frozen=True, eq=False)
class Dfa:
    """State 0 is the start. A character without an edge is refused. From every other state some end can be reached."""

    edges: tuple[Edges, ...]
    accepting: tuple[bool, ...]

    @property
    def is_empty(self) -> bool:
        return len(self.edges) == 1 and not self.accepting[0]

    def read(self, state: int, text: str) -> int:
        """The state that a text leads to; -1 when it is refused."""
        for char in map(ord, text):
            if state < 0:
                break
            state = next((to for low, high, to in self.edges[state] if low <= char <= high), -1)
        return state

    def accepts(self, text: str) -> bool:
        state = self.read(0, text)
        return state >= 0 and self.accepting[state]

    @cached_property
    def shortest(self) -> tuple[int, ...]:
        """Of each state, the fewest characters to an end."""
        before: list[list[int]] = [[] for _ in self.edges]
        for state, edges in enumerate(self.edges):
            for _, _, to in edges:
                before[to].append(state)
        found = {state: 0 for state, is_end in enumerate(self.accepting) if is_end}
        queue = [*found]
        for state in queue:
            for earlier in before[state]:
                if earlier not in found:
                    found[earlier] = found[state] + 1
                    queue.append(earlier)
        return tuple(found.get(state, len(self.edges)) for state in range(len(self.edges)))


EVERYTHING = Dfa((tuple((low, high, 0) for low, high in ANY),), (True,))
NOTHING = Dfa(((),), (False,))


def explore(start: S, follow: Callable[[S], tuple[Iterable[tuple[int, int, S]], bool]]) -> Dfa:
    """The automaton of all states found from `start`: `follow` gives a state's edges, and whether it is an end."""
    numbers = {start: 0}
    edges: list[list[tuple[int, int, int]]] = []
    accepting: list[bool] = []
    queue = [start]
    for state in queue:
        ways, is_end = follow(state)
        row = []
        for low, high, to in ways:
            if to not in numbers:
                numbers[to] = len(numbers)
                queue.append(to)
                if len(queue) > MOST_STATES:
                    raise GrammarError(f"the patterns need more than {MOST_STATES} states")
            row.append((low, high, numbers[to]))
        spend(1 + len(row))
        edges.append(row)
        accepting.append(is_end)
    return trim(edges, accepting)


def trim(edges: list[list[tuple[int, int, int]]], accepting: list[bool]) -> Dfa:
    """Without states from which no end can be reached; neighbouring ranges joined."""
    before: list[list[int]] = [[] for _ in edges]
    for state, row in enumerate(edges):
        for _, _, to in row:
            before[to].append(state)
    alive = {state for state, is_end in enumerate(accepting) if is_end}
    queue = [*alive]
    while queue:
        for earlier in before[queue.pop()]:
            if earlier not in alive:
                alive.add(earlier)
                queue.append(earlier)
    if 0 not in alive:
        return NOTHING
    order = {old: new for new, old in enumerate(state for state in range(len(edges)) if state in alive)}
    out = []
    for old in order:
        row = []
        for low, high, to in sorted(edges[old]):
            if to not in alive:
                continue
            if row and row[-1][2] == order[to] and row[-1][1] + 1 == low:
                row[-1] = (row[-1][0], high, order[to])
            else:
                row.append((low, high, order[to]))
        out.append(tuple(row))
    return Dfa(tuple(out), tuple(accepting[old] for old in order))


def intersection(a: Dfa, b: Dfa) -> Dfa:
    if a is EVERYTHING or b is EVERYTHING:
        return b if a is EVERYTHING else a

    def follow(state: tuple[int, int]) -> tuple[list[tuple[int, int, tuple[int, int]]], bool]:
        x, y = a.edges[state[0]], b.edges[state[1]]
        out, i, j = [], 0, 0
        while i < len(x) and j < len(y):
            low, high = max(x[i][0], y[j][0]), min(x[i][1], y[j][1])
            if low <= high:
                out.append((low, high, (x[i][2], y[j][2])))
            if x[i][1] < y[j][1]:
                i += 1
            else:
                j += 1
        return out, a.accepting[state[0]] and b.accepting[state[1]]

    return explore((0, 0), follow)


def negation(a: Dfa) -> Dfa:
    """All other strings."""
    SINK = -1

    def follow(state: int) -> tuple[list[tuple[int, int, int]], bool]:
        if state == SINK:
            return [(low, high, SINK) for low, high in ANY], True
        taken: Ranges = tuple((low, high) for low, high, _ in a.edges[state])
        rest = [(low, high, SINK) for low, high in complement(taken)]
        return sorted([*a.edges[state], *rest]), not a.accepting[state]

    return explore(0, follow)


def other_than(texts: Iterable[str]) -> Dfa:
    """All strings but these."""
    return negation(any_of(texts))


def any_of(texts: Iterable[str]) -> Dfa:
    """Exactly these strings."""
    edges: list[dict[int, int]] = [{}]
    ends = set()
    for text in texts:
        state, n_before = 0, len(edges)
        for char in map(ord, text):
            if char not in edges[state]:
                edges[state][char] = len(edges)
                edges.append({})
            state = edges[state][char]
        ends.add(state)
        spend(1 + STATE * (len(edges) - n_before))
    rows = [sorted((char, char, to) for char, to in row.items()) for row in edges]
    return trim(rows, [state in ends for state in range(len(edges))])


def lengths(least: int, most: int | None) -> Dfa:
    """Strings of a length."""
    last = least if most is None else most
    if last >= MOST_STATES:
        raise GrammarError(f"lengths beyond {MOST_STATES} cannot be combined with patterns")
    rows = [
        [(low, high, min(n + 1, last)) for low, high in ANY] if most is None or n < last else []
        for n in range(last + 1)
    ]
    return trim(rows, [n >= least for n in range(last + 1)])
