"""Where a pattern is found, and where its groups are: by threads through its tree, in time linear in the text."""

from __future__ import annotations

from llamakit.core.grammar.charset import Ranges, contains
from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.regex import Begin, Captured, Concat, Either, End, Node, One, Repeated, parse_regex

MOST_STEPS = 20_000
PASS, AT_BEGIN, AT_END, MARK = range(4)  # what it takes to go on; MARK + i notes the place as number i

Found = tuple[int, tuple[int, ...]]  # where a match begins; begin and end of each group, -1 if it took no part


class Finder:
    """A pattern as steps. Of several matches the leftmost counts, then the one that backtracking would find first."""

    def __init__(self, pattern: str) -> None:
        self.n_groups = 0
        self.chars: list[Ranges | None] = []  # what a step reads; None: nothing
        self.next: list[list[tuple[int, int]]] = []  # of each step, what follows: the best first, and what it takes
        self.end = self.step(None)
        self.start = self.build(parse_regex(pattern), self.end)

    def step(self, chars: Ranges | None, *following: tuple[int, int]) -> int:
        if len(self.chars) >= MOST_STEPS:
            raise GrammarError(f"the pattern is too large: more than {MOST_STEPS} steps")
        self.chars.append(chars)
        self.next.append([*following])
        return len(self.chars) - 1

    def build(self, node: Node, after: int) -> int:
        """Steps for a tree, which is not deep; returns the first. `after` follows."""
        match node:
            case One(ranges):
                return self.step(ranges, (after, PASS))
            case Concat(parts):
                for part in reversed(parts):
                    after = self.build(part, after)
                return after
            case Either(parts):
                return self.step(None, *[(self.build(part, after), PASS) for part in parts])
            case Captured(part, number):
                mark = MARK + 2 * number
                self.n_groups = max(self.n_groups, number + 1)
                inner = self.build(part, self.step(None, (after, mark + 1)))
                return self.step(None, (inner, mark))
            case Repeated(part, least, most):
                return self.repeat(part, least, most, after)
            case Begin() | End():
                return self.step(None, (after, AT_BEGIN if isinstance(node, Begin) else AT_END))

    def repeat(self, part: Node, least: int, most: int | None, after: int) -> int:
        start = after
        if most is None:
            start = self.step(None)
            self.next[start] = [(self.build(part, start), PASS), (after, PASS)]
        for i in range(least if most is None else most):
            once = self.build(part, start)
            is_needed = most is None or i >= most - least
            start = once if is_needed else self.step(None, (once, PASS), (after, PASS))
        return start

    def find(self, text: str) -> Found | None:
        """The first match, or None."""
        best: Found | None = None
        threads: dict[int, Found] = {}  # by step, the best first
        for at in range(len(text) + 1):
            if best is None:
                self.follow(threads, self.start, at, len(text), (at, (-1,) * (2 * self.n_groups)))
            following: dict[int, Found] = {}
            for step, found in threads.items():
                if step == self.end:
                    best = found
                    break  # the others are worse
                chars = self.chars[step]
                if chars is not None and at < len(text) and contains(chars, ord(text[at])):
                    self.follow(following, self.next[step][0][0], at + 1, len(text), found)
            threads = following
        return best

    def follow(self, threads: dict[int, Found], step: int, at: int, n: int, found: Found) -> None:
        """Add the steps that are reached without reading."""
        queue = [(step, found)]
        while queue:
            step, (start, marks) = queue.pop()
            if step in threads:
                continue
            threads[step] = (start, marks)
            if self.chars[step] is not None:
                continue
            for to, action in reversed(self.next[step]):
                if (action == AT_BEGIN and at > 0) or (action == AT_END and at < n):
                    continue
                i = action - MARK
                queue.append((to, (start, marks if i < 0 else (*marks[:i], at, *marks[i + 1 :]))))
