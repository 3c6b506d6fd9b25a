"""Regular expressions, as JSON Schema (ECMA-262) and Rust know them, parsed to a small tree.

Supported: literals, classes, groups, alternatives, greedy and lazy repetition, ^ and $, \\d \\w \\s \\D \\W \\S,
\\p{category}, the escapes of both dialects, (?i) and (?s). Refused, with their position: look-around, back references,
word boundaries: they are not regular, or need more than one pass.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from llamakit.core.grammar.charset import ANY, Ranges, complement, intersect, union
from llamakit.core.grammar.errors import GrammarError, syntax_error
from llamakit.core.grammar.unicode_sets import category, with_cases

MOST_NESTED = 100
MOST_REPEATS = 1 << 20

DIGIT: Ranges = ((0x30, 0x39),)
WORD = union([(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)])
SPACE = union(
    [
        (9, 13), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F),
        (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF),
    ]
)  # fmt: skip
LINE_ENDS: Ranges = ((10, 10), (13, 13), (0x2028, 0x2029))
CLASSES = {"d": DIGIT, "w": WORD, "s": SPACE}
CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "0": 0}
QUANTIFIER = re.compile(r"(?:\*|\+|\?|\{([0-9]+)(,?)([0-9]*)\})[?]?")
HEX = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\}|x\{([0-9A-Fa-f]{1,6})\}")
CATEGORY = re.compile(r"[pP](?:\{\^?([A-Za-z_=]+)\}|([A-Z]))")
GROUP = re.compile(r"\(\?(?::|P?<[A-Za-z_]\w*>)")
FLAGS = re.compile(r"\(\?([a-z]*)(?:-([a-z]+))?([:)])")


@dataclass(frozen=True, slots=True)
class One:
    """One character of a set."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Concat:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Either:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeated:
    part: Node
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Captured:
    """A group in plain parentheses, the how-manieth (from 0)."""

    part: Node
    number: int


@dataclass(frozen=True, slots=True)
class Begin:
    """^"""


@dataclass(frozen=True, slots=True)
class End:
    """$"""


Node = One | Concat | Either | Repeated | Captured | Begin | End
EMPTY = Concat(())


def literal(text: str) -> Node:
    return Concat(tuple(One(((ord(c), ord(c)),)) for c in text))


@lru_cache(64)
def parse_regex(pattern: str) -> Node:
    """The tree of a pattern. Raises GrammarError with the position of what is wrong or not supported."""
    return Parser(pattern).parse()


@dataclass(slots=True)
class Group:
    """A group being read; flags hold until its end."""

    start: int
    ignores_case: bool
    dot_is_any: bool
    choices: list[Node]
    parts: list[Node]
    number: int | None = None  # of groups that are captured

    def node(self) -> Node:
        last = self.parts[0] if len(self.parts) == 1 else Concat(tuple(self.parts))
        return Either((*self.choices, last)) if self.choices else last


class Parser:
    def __init__(self, pattern: str) -> None:
        self.text, self.at = pattern, 0
        self.n_groups = 0  # captured so far

    def parse(self) -> Node:
        groups = [Group(0, False, False, [], [])]
        while self.at < len(self.text):
            group, letter = groups[-1], self.text[self.at]
            if letter == "(":
                self.open(groups)
                if len(groups) > MOST_NESTED:
                    raise self.error(f"groups are nested more than {MOST_NESTED} deep")
            elif letter == ")":
                if len(groups) == 1:
                    raise self.error("this ) closes nothing")
                self.at += 1
                closed = groups.pop()
                node = closed.node() if closed.number is None else Captured(closed.node(), closed.number)
                groups[-1].parts.append(self.repeated(node))
            elif letter == "|":
                self.at += 1
                group.choices.append(Concat(tuple(group.parts)))
                group.parts = []
            elif letter in "^$":
                self.at += 1
                group.parts.append(Begin() if letter == "^" else End())
                if QUANTIFIER.match(self.text, self.at):
                    raise self.error("an anchor cannot be repeated")
            elif letter in "*+?" or QUANTIFIER.match(self.text, self.at):
                raise self.error("there is nothing to repeat before this")
            else:
                group.parts.append(self.atom(group))
        if len(groups) > 1:
            raise syntax_error("regular expression", self.text, groups[-1].start, "this ( is never closed")
        return groups[0].node()

    def open(self, groups: list[Group]) -> None:
        """The start of a group, or flags for the rest of one."""
        outer, start = groups[-1], self.at
        inner = Group(start, outer.ignores_case, outer.dot_is_any, [], [])
        if not self.text.startswith("(?", start):
            self.at += 1
            inner.number = self.n_groups
        elif found := GROUP.match(self.text, start):
            self.at = found.end()
            inner.number = None if found[0].endswith(":") else self.n_groups
        elif (found := FLAGS.match(self.text, start)) and set(found[1] + (found[2] or "")) <= set("isu"):
            self.at = found.end()
            target = inner if found[3] == ":" else outer
            for letters, value in ((found[1], True), (found[2] or "", False)):
                target.ignores_case = value if "i" in letters else target.ignores_case
                target.dot_is_any = value if "s" in letters else target.dot_is_any
            if found[3] == ")":
                return
        else:
            what = "look-around is" if re.match(r"\(\?<?[=!]", self.text[start:]) else "this kind of group is"
            raise self.error(f"{what} not supported")
        self.n_groups += inner.number is not None
        groups.append(inner)

    def atom(self, group: Group) -> Node:
        letter = self.text[self.at]
        if letter == "[":
            return self.repeated(One(self.char_class(group)))
        if letter == "\\" and self.text[self.at + 1 : self.at + 2] in ("A", "z", "Z"):
            self.at += 2
            return Begin() if self.text[self.at - 1] == "A" else End()
        if letter == "\\":
            ranges = self.escape()
        else:
            self.at += 1
            ranges = (ANY if group.dot_is_any else complement(LINE_ENDS)) if letter == "." else ((ord(letter),) * 2,)
        return self.repeated(One(with_cases(ranges) if group.ignores_case else ranges))

    def repeated(self, node: Node) -> Node:
        """The node with the quantifier that follows, if one does."""
        found = QUANTIFIER.match(self.text, self.at)
        if found is None:
            return node
        least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(found[0][0], (0, None))
        if found[1] is not None:
            if max(len(found[1]), len(found[3])) > 8:
                raise self.error(f"more than {MOST_REPEATS} repetitions")
            least = int(found[1])
            most = int(found[3]) if found[3] else None if found[2] else least
            if max(least, most or 0) > MOST_REPEATS:
                raise self.error(f"more than {MOST_REPEATS} repetitions")
            if most is not None and most < least:
                raise self.error("at most is less than at least")
        self.at = found.end()
        if QUANTIFIER.match(self.text, self.at):
            raise self.error("there is nothing to repeat before this")
        return Repeated(node, least, most)

    def char_class(self, group: Group) -> Ranges:
        start = self.at
        self.at += 1
        is_negated = self.text.startswith("^", self.at)
        self.at += is_negated
        parts: list[tuple[int, int]] = []
        while not self.text.startswith("]", self.at):
            at, low = self.at, self.member(start)
            is_range = self.text.startswith("-", self.at) and not self.text.startswith("-]", self.at)
            if is_range and len(low) == 1 and low[0][0] == low[0][1]:
                self.at += 1
                high = self.member(start)
                if len(high) != 1 or high[0][0] != high[0][1]:
                    parts += [*low, (0x2D, 0x2D), *high]
                    continue
                if low[0][0] > high[0][0]:
                    raise syntax_error("regular expression", self.text, at, "the range ends before it begins")
                low = ((low[0][0], high[0][0]),)
            parts += low
        self.at += 1
        ranges = union(parts)
        if group.ignores_case:
            ranges = with_cases(ranges)
        return complement(ranges) if is_negated else intersect(ranges, ANY)

    def member(self, start: int) -> Ranges:
        """A character or class within a class."""
        if self.at >= len(self.text):
            raise syntax_error("regular expression", self.text, start, "this class is never closed")
        letter = self.text[self.at]
        if letter == "\\" and self.text.startswith("\\b", self.at):
            self.at += 2
            return ((8, 8),)
        if letter == "\\":
            return self.escape()
        self.at += 1
        return ((ord(letter), ord(letter)),)

    def escape(self) -> Ranges:
        """The characters that an escape stands for."""
        start = self.at
        letter = self.text[start + 1 : start + 2]
        self.at += 2
        if letter.lower() in CLASSES and letter:
            ranges = CLASSES[letter.lower()]
            return complement(ranges) if letter.isupper() else ranges
        if found := HEX.match(self.text, start + 1):
            self.at = found.end()
            return self.character(int(next(filter(None, found.groups())), 16), start)
        if found := CATEGORY.match(self.text, start + 1):
            self.at = found.end()
            ranges = category(found[1] or found[2]) or ()
            if not ranges:
                raise self.refuse(start, "this Unicode property is not known")
            is_negated = (letter == "P") != ("{^" in found[0])
            return complement(ranges) if is_negated else ranges
        if letter == "c" and re.match("[A-Za-z]", self.text[start + 2 : start + 3]):
            self.at += 1
            return ((ord(self.text[start + 2]) % 32,) * 2,)
        if letter in CONTROLS and letter and not re.match(r"\\0[0-9]", self.text[start:]):
            return ((CONTROLS[letter],) * 2,)
        if letter in ("b", "B"):
            raise self.refuse(start, "word boundaries are not supported")
        if letter.isdigit() or letter == "k":
            raise self.refuse(start, "back references are not supported")
        if not letter or (letter.isascii() and letter.isalnum()):
            raise self.refuse(start, "this escape is not known")
        return ((ord(letter), ord(letter)),)

    def character(self, char: int, start: int) -> Ranges:
        """\\uD83D\\uDE00 are one character; a lone surrogate is none."""
        if 0xD800 <= char <= 0xDBFF and (low := re.match(r"\\u([dD][c-fC-F][0-9A-Fa-f]{2})", self.text[self.at :])):
            self.at += low.end()
            char = 0x10000 + ((char - 0xD800) << 10) + int(low[1], 16) - 0xDC00
        if char > 0x10FFFF:
            raise self.refuse(start, f"U+{char:X} is no character")
        return intersect(((char, char),), ANY)

    def refuse(self, at: int, message: str) -> GrammarError:
        return syntax_error("regular expression", self.text, at, message)

    def error(self, message: str) -> GrammarError:
        return self.refuse(self.at, message)
