"""Automata over characters as symbols of rules."""

from __future__ import annotations

from llamakit.core.grammar.dfa import Dfa
from llamakit.core.grammar.rules import Chars, Count, Graph, Sequence


def graph_of(dfa: Dfa, is_json: bool = True, least: int = 0, most: int | None = None) -> Graph:
    """The texts of an automaton. Characters are counted where lengths are given: no further than an end can be.

    A character is counted before it is read: one of several bytes must not begin where there is no room for it.
    """
    is_counted = least > 0 or most is not None
    states = []
    for edges in dfa.edges:
        targets: dict[int, list[tuple[int, int]]] = {}
        for low, high, to in edges:
            targets.setdefault(to, []).append((low, high))
        ways = []
        for to, ranges in targets.items():
            sequence: Sequence = (Chars(tuple(ranges), is_json),)
            if is_counted:
                room = None if most is None else most - dfa.shortest[to]
                sequence = (Count(room, least if most is None else most), *sequence)
            ways.append((sequence, to))
        states.append(tuple(ways))
    return Graph(tuple(states), dfa.accepting, is_plain=not dfa.is_empty)
