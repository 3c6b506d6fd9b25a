"""Patterns to automata: Thompson's construction, then sets of its nodes."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

from llamakit.core.grammar.charset import ANY, Ranges
from llamakit.core.grammar.dfa import Dfa, explore
from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.regex import Begin, Captured, Concat, Either, End, Node, One, Repeated, parse_regex

MOST_NODES = 50_000
AT_BEGIN, AT_END = 1, 2

State = tuple[frozenset[int], bool]  # nodes; whether nothing has been read


@lru_cache(64)
def search(pattern: str) -> Dfa:
    """The strings in which a pattern is found, as JSON Schema means it."""
    nfa = Nfa()
    end = nfa.node()
    nfa.read[end].append((ANY, end))
    start = nfa.node()
    nfa.read[start].append((ANY, start))
    nfa.free[start].append((nfa.build(parse_regex(pattern), end), 0))
    return nfa.determinize(start, end)


@lru_cache(64)
def whole(pattern: str) -> Dfa:
    """The strings that a pattern matches from begin to end."""
    return whole_tree(parse_regex(pattern))


@lru_cache(64)
def whole_tree(tree: Node) -> Dfa:
    nfa = Nfa()
    end = nfa.node()
    return nfa.determinize(nfa.build(tree, end), end)


class Nfa:
    """Nodes with edges that read a character, and free ones, some only at the begin or end of the text."""

    def __init__(self) -> None:
        self.read: list[list[tuple[Ranges, int]]] = []
        self.free: list[list[tuple[int, int]]] = []  # next node; 0, AT_BEGIN or AT_END

    def node(self) -> int:
        if len(self.read) >= MOST_NODES:
            raise GrammarError(f"the pattern is too large: more than {MOST_NODES} steps")
        self.read.append([])
        self.free.append([])
        return len(self.read) - 1

    def build(self, node: Node, after: int) -> int:
        """Nodes for a tree, which is not deep; returns the first. `after` follows."""
        match node:
            case One(ranges):
                start = self.node()
                self.read[start].append((ranges, after))
                return start
            case Concat(parts):
                for part in reversed(parts):
                    after = self.build(part, after)
                return after
            case Either(parts):
                start = self.node()
                self.free[start] = [(self.build(part, after), 0) for part in parts]
                return start
            case Repeated(part, least, most):
                if most is None:
                    loop = self.node()
                    self.free[loop] = [(self.build(part, loop), 0), (after, 0)]
                    after = loop
                else:
                    end = after
                    for _ in range(most - least):
                        maybe = self.node()
                        self.free[maybe] = [(self.build(part, after), 0), (end, 0)]
                        after = maybe
                for _ in range(least):
                    after = self.build(part, after)
                return after
            case Captured(part):
                return self.build(part, after)
            case Begin() | End():
                start = self.node()
                self.free[start].append((after, AT_BEGIN if isinstance(node, Begin) else AT_END))
                return start

    def determinize(self, start: int, end: int) -> Dfa:
        letters, class_of = classes({ranges for row in self.read for ranges, _ in row})
        useful = self.useful(end)
        moves = [[(class_of[ranges], to) for ranges, to in row if to in useful] for row in self.read]
        closures: dict[int, frozenset[int]] = {}

        def closure(node: int) -> frozenset[int]:
            if node not in closures:
                closures[node] = frozenset(self.follow([node], 0)) & useful
            return closures[node]

        def follow(state: State) -> tuple[list[tuple[int, int, State]], bool]:
            nodes, is_begin = state
            targets: dict[int, set[int]] = {}
            for node in nodes:
                for numbers, to in moves[node]:
                    for letter in numbers:
                        targets.setdefault(letter, set()).add(to)
            out: list[tuple[int, int, State]] = []
            known: dict[frozenset[int], State] = {}
            for letter, found in targets.items():
                key = frozenset(found)
                if key not in known:
                    known[key] = (frozenset().union(*map(closure, key)), False)
                out += [(low, high, known[key]) for low, high in letters[letter]]
            return out, end in self.follow(nodes, AT_END | (AT_BEGIN if is_begin else 0))

        return explore((frozenset(self.follow([start], AT_BEGIN)), True), follow)

    def follow(self, nodes: list[int] | frozenset[int], where: int) -> set[int]:
        """All that free edges lead to; `where` says which of those with a condition are open."""
        seen, queue = set(nodes), [*nodes]
        while queue:
            for to, condition in self.free[queue.pop()]:
                if to not in seen and condition & ~where == 0:
                    seen.add(to)
                    queue.append(to)
        return seen

    def useful(self, end: int) -> frozenset[int]:
        """The nodes from which the end can be reached when the text has begun."""
        before: list[list[int]] = [[] for _ in self.read]
        for node in range(len(self.read)):
            for to in [t for _, t in self.read[node]] + [t for t, c in self.free[node] if c != AT_BEGIN]:
                before[to].append(node)
        seen, queue = {end}, [end]
        while queue:
            for node in before[queue.pop()]:
                if node not in seen:
                    seen.add(node)
                    queue.append(node)
        return frozenset(seen)


def classes(sets: set[Ranges]) -> tuple[list[list[tuple[int, int]]], dict[Ranges, tuple[int, ...]]]:
    """Characters that no set tells apart are one letter: its ranges; and of each set its letters."""
    bounds = sorted({b for ranges in sets for low, high in ranges for b in (low, high + 1)})
    members: dict[int, list[int]] = {low: [] for low in bounds}
    ordered = sorted(sets)
    for number, ranges in enumerate(ordered):
        spans = iter(bounds)
        bound = next(spans, None)
        for low, high in ranges:
            while bound is not None and bound <= high:
                if bound >= low:
                    members[bound].append(number)
                bound = next(spans, None)
    numbers: dict[tuple[int, ...], int] = {}
    letters: list[list[tuple[int, int]]] = []
    for low, following in pairwise(bounds):
        key = tuple(members[low])
        if key:
            if key not in numbers:
                numbers[key] = len(letters)
                letters.append([])
            letters[numbers[key]].append((low, following - 1))
    class_of: dict[Ranges, list[int]] = {ranges: [] for ranges in ordered}
    for key, letter in numbers.items():
        for number in key:
            class_of[ordered[number]].append(letter)
    return letters, {ranges: tuple(found) for ranges, found in class_of.items()}
