"""Regular expressions to rules: a grammar of what they match from begin to end."""

from __future__ import annotations

from llamakit.core.grammar.graphs import graph_of
from llamakit.core.grammar.regex import Begin, Captured, Concat, Either, End, Node, One, Repeated, parse_regex
from llamakit.core.grammar.regex_dfa import whole
from llamakit.core.grammar.rules import Chars, Ref, Repeat, Rules, Sequence


def regex_rules(pattern: str) -> Rules:
    """The grammar of a pattern, as if ^ and $ stood around it. Raises GrammarError with the position of an error.

    Counts stay counts, however large. Only anchors in the middle need an automaton, whose size is limited.
    """
    tree = parse_regex(pattern)
    parts = list(tree.parts) if isinstance(tree, Concat) else [tree]
    while parts and isinstance(parts[0], Begin):
        del parts[0]
    while parts and isinstance(parts[-1], End):
        del parts[-1]
    rules = Rules()
    rules.add("root")
    if any(map(has_anchor, parts)):
        rules.rules[0].alternatives = [(graph_of(whole(pattern), is_json=False),)]
    else:
        rules.rules[0].alternatives = [sequence(Concat(tuple(parts)), rules)]
    return rules


def has_anchor(node: Node) -> bool:
    match node:
        case Begin() | End():
            return True
        case Concat(parts) | Either(parts):
            return any(map(has_anchor, parts))
        case Repeated(part) | Captured(part):
            return has_anchor(part)
    return False


def sequence(node: Node, rules: Rules) -> Sequence:
    """A tree, which is not deep, as symbols; choices and what is repeated are rules of their own."""
    match node:
        case One(ranges):
            return (Chars(ranges),)
        case Concat(parts):
            return tuple(symbol for part in parts for symbol in sequence(part, rules))
        case Either(parts):
            return (Ref(rules.add("choice", *(sequence(part, rules) for part in parts))),)
        case Repeated(part, least, most):
            return (Repeat(rules.add("repeated", sequence(part, rules)), least, most),)
        case Captured(part):
            return sequence(part, rules)
    raise AssertionError(node)
