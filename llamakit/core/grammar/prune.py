"""Rules that can match no text at all, taken out: a matcher must not walk into them."""

from __future__ import annotations

from llamakit.core.grammar.rules import Chars, Graph, Ref, Repeat, Requires, Rule, Rules, Sequence, Symbol, settle


def prune(rules: Rules) -> Rules:
    """The same grammar without the ways that never end. A grammar of nothing has a root without alternatives."""
    alive = productive(rules)
    kept = [
        Rule(
            rule.name,
            [tuple(without_dead(s, alive) for s in seq) for seq in rule.alternatives if can_match(seq, alive)],
        )
        for rule in rules.rules
    ]
    return Rules(kept, rules.root)


def productive(rules: Rules) -> list[bool]:
    """Which rules match some text."""

    def is_productive(rule: int, alive: list[bool]) -> bool:
        return any(can_match(sequence, alive) for sequence in rules.rules[rule].alternatives)

    needs = [[used for symbol in rule.symbols() for used in needed(symbol)] for rule in rules.rules]
    return settle(needs, is_productive)


def needed(symbol: Symbol) -> tuple[int, ...]:
    if isinstance(symbol, (Ref, Repeat)):
        return (symbol.rule,)
    return symbol.rules if isinstance(symbol, Requires) else ()


def can_match(sequence: Sequence, alive: list[bool]) -> bool:
    return all(symbol_can_match(symbol, alive) for symbol in sequence)


def symbol_can_match(symbol: Symbol, alive: list[bool]) -> bool:
    if isinstance(symbol, Repeat):
        return symbol.least == 0 or alive[symbol.rule]
    if isinstance(symbol, Chars):
        return bool(symbol.ranges)
    if isinstance(symbol, Graph):
        return symbol.is_plain or 0 in ending_states(symbol, alive)
    return all(alive[rule] for rule in needed(symbol))


def ending_states(graph: Graph, alive: list[bool]) -> set[int]:
    """The states of a graph from which an end can be reached."""
    before: list[list[int]] = [[] for _ in graph.edges]
    for state, edges in enumerate(graph.edges):
        for sequence, to in edges:
            if can_match(sequence, alive):
                before[to].append(state)
    found = {state for state, is_end in enumerate(graph.accepting) if is_end}
    queue = [*found]
    while queue:
        for state in before[queue.pop()]:
            if state not in found:
                found.add(state)
                queue.append(state)
    return found


def without_dead(symbol: Symbol, alive: list[bool]) -> Symbol:
    if isinstance(symbol, Repeat) and not alive[symbol.rule]:
        return Repeat(symbol.rule, 0, 0)
    if not isinstance(symbol, Graph) or symbol.is_plain:
        return symbol
    ends = ending_states(symbol, alive)
    edges = tuple(
        tuple(
            (tuple(without_dead(s, alive) for s in sequence), to)
            for sequence, to in row
            if to in ends and can_match(sequence, alive)
        )
        for row in symbol.edges
    )
    return Graph(edges, symbol.accepting)
