"""Rules to the program that the kernels run: nodes that read bytes, call rules, and count."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from llamakit.core.grammar.charset import ByteSets, Ranges, complement, intersect, union, utf8_sequences
from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.fuel import spend
from llamakit.core.grammar.json_text import json_sequences
from llamakit.core.grammar.program import Edge, Program, flatten, merge_choices
from llamakit.core.grammar.repeats import spell_out
from llamakit.core.grammar.rules import (
    Chars,
    Close,
    Count,
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
    Token,
)
from llamakit.core.kernels import grammar_tables as kinds

MAX_NODES = 1 << 20
UNLIMITED = 1 << 60
WORD = 64  # bits of a mask
WORDS_A_STEP = 32
PLAIN = union([(0x20, 0x21), (0x23, 0x2E), (0x30, 0x5B), (0x5D, 0x7E)])  # one byte each, in JSON strings too
NOT_PLAIN = complement(PLAIN)


@lru_cache(4096)
def split_plain(ranges: Ranges) -> tuple[Ranges, Ranges]:
    return intersect(ranges, PLAIN), intersect(ranges, NOT_PLAIN)


def compile_rules(rules: Rules) -> Program:
    """The program of a grammar. Raises GrammarError when it would be too large."""
    return Compiler(spell_out(rules)).compile()


class Compiler:
    """Makes the nodes of a sequence from its end to its start, as every node knows what follows it."""

    def __init__(self, rules: Rules) -> None:
        self.rules, self.root = rules.rules, rules.root
        self.kinds: list[int] = []
        self.data: list[Any] = []  # of each node, see `flatten`
        self.todo: list[tuple[int, list[tuple[Sequence, int]]]] = []  # choices to fill in: node, ways
        self.masks = bytearray()
        self.mask_rows: dict[tuple[int, int, int], int] = {}
        self.rows: list[int] = []
        self.other_edges: dict[tuple[Ranges, bool, int], list[Edge]] = {}
        self.tails: dict[tuple[Ranges, int], int] = {}
        self.starts: dict[int, int] = {}  # of the rules that are called
        self.end = self.add(kinds.RETURN, (0, 0))
        self.uses = [0] * len(self.rules)
        self.uses[self.root] = n_bits = 1
        for rule in self.rules:
            for symbol in rule.symbols():
                if isinstance(symbol, (Ref, Repeat)):
                    self.uses[symbol.rule] += 1
                elif isinstance(symbol, Take):
                    n_bits = max(n_bits, symbol.marks.bit_length(), symbol.without.bit_length())
        self.n_words = -(-n_bits // WORD)

    def compile(self) -> Program:
        start = self.start_of(self.root)
        while self.todo:
            node, ways = self.todo.pop()
            n_before = len(self.kinds)
            self.data[node] = [self.sequence(symbols, after) for symbols, after in ways]
            spend(1 + len(self.kinds) - n_before)
            if len(self.kinds) > MAX_NODES:
                raise GrammarError(f"the grammar is too large: more than {MAX_NODES} steps")
        merge_choices(self.kinds, self.data)
        return flatten(start, self.kinds, self.data, self.masks, self.rows, self.n_words)

    def add(self, kind: int, data: Any) -> int:
        self.kinds.append(kind)
        self.data.append(data)
        return len(self.kinds) - 1

    def choice(self, ways: list[tuple[Sequence, int]]) -> int:
        """A node that goes any of the ways: a sequence, and the node after it. Filled in later: nothing recurses."""
        node = self.add(kinds.SPLIT, [])
        self.todo.append((node, ways))
        return node

    def start_of(self, rule: int) -> int:
        if rule not in self.starts:
            self.starts[rule] = self.choice([(s, self.end) for s in self.rules[rule].alternatives])
        return self.starts[rule]

    def sequence(self, symbols: Sequence, after: int) -> int:
        for symbol in reversed(symbols):
            after = self.symbol(symbol, after)
        return after

    def symbol(self, symbol: Symbol, after: int) -> int:
        match symbol:
            case Text(data):
                for byte in reversed(data):
                    after = self.add(kinds.BYTES, [(byte, byte, after)])
                return after
            case Chars(ranges, is_json):
                return self.add(kinds.BYTES, self.char_edges(ranges, is_json, after))
            case Ref(rule):
                return self.call(rule, after)
            case Repeat(rule, least, most):
                return self.repeat(rule, least, most, after)
            case Token(token, is_negated):
                return self.add(kinds.TOKENS, [(token, is_negated, after)])
            case Open():
                return self.add(kinds.OPEN, (after, 0))
            case Take(without, needs, marks):
                return self.add(kinds.TAKE, (after, self.mask_row(without, needs, marks)))
            case Count(most, stay):
                return self.add(kinds.COUNT, (after, self.row(UNLIMITED if most is None else most, stay)))
            case Close(needs, least):
                return self.add(kinds.CLOSE, (after, self.row(self.mask_row(0, needs, 0), least)))
            case Requires():
                return after
            case Graph(edges, accepting):
                return self.graph(edges, accepting, after)

    def char_edges(self, ranges: Ranges, is_json: bool, after: int) -> list[Edge]:
        """The first bytes of characters. Those beyond ASCII are many, and often the same ones: made once."""
        plain, others = split_plain(ranges)
        edges = [(low, high, after) for low, high in plain]
        if not others:
            return edges
        key = (others, is_json, after)
        if key not in self.other_edges:
            spelled = json_sequences(others) if is_json else [s for r in others for s in utf8_sequences(*r)]
            self.other_edges[key] = [edge for s in spelled for edge in self.edges(s, after)]
        return edges + self.other_edges[key]

    def edges(self, spelled: ByteSets, after: int) -> list[Edge]:
        """The edges of the first byte; sequences that end alike share the nodes of their ends."""
        for allowed in reversed(spelled[1:]):
            tail = (allowed, after)
            if tail not in self.tails:
                self.tails[tail] = self.add(kinds.BYTES, [(low, high, after) for low, high in allowed])
            after = self.tails[tail]
        return [(low, high, after) for low, high in spelled[0]]

    def call(self, rule: int, after: int) -> int:
        if self.uses[rule] == 1:  # its nodes can stand here
            return self.choice([(s, after) for s in self.rules[rule].alternatives])
        start = self.start_of(rule)
        return start if after == self.end else self.add(kinds.CALL, (start, after))

    def repeat(self, rule: int, least: int, most: int | None, after: int) -> int:
        """A loop; with a count where one matters."""
        if most == 0:
            return after
        loop = self.add(kinds.SPLIT, [])
        if most is None and least <= 1:
            once = self.call(rule, loop)
            self.data[loop] = [once, after]
            return loop if least == 0 else once
        if (least, most) == (0, 1):
            self.data[loop] = [self.call(rule, after), after]
            return loop
        count = Count(most, least if most is None else most)  # before: no item begins that is one too many
        self.data[loop] = [self.symbol(count, self.call(rule, loop)), self.symbol(Close(0, least), after)]
        return self.symbol(Open(), loop)

    def graph(
        self, edges: tuple[tuple[tuple[Sequence, int], ...], ...], accepting: tuple[bool, ...], after: int
    ) -> int:
        states = [self.add(kinds.SPLIT, []) for _ in edges]
        for node, ways, is_end in zip(states, edges, accepting, strict=True):
            self.todo.append((node, [(s, states[to]) for s, to in ways] + ([((), after)] if is_end else [])))
        return states[0]

    def mask_row(self, without: int, needs: int, marks: int) -> int:
        key = (without, needs, marks)
        if key not in self.mask_rows:
            self.mask_rows[key] = len(self.mask_rows)
            spend(len(key) * self.n_words // WORDS_A_STEP)
            for bits in key:
                self.masks += bits.to_bytes(WORD // 8 * self.n_words, "little")
        return self.mask_rows[key]

    def row(self, x: int, y: int) -> int:
        self.rows += [min(x, UNLIMITED), min(y, UNLIMITED)]
        return len(self.rows) - 2
