"""Patterns and the automata they become, against Python's re."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamakit.core.grammar.dfa import any_of, intersection, lengths, negation, other_than
from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.grammar import Grammar
from llamakit.core.grammar.regex_dfa import search, whole
from llamakit.core.grammar.regex_find import Finder
from llamakit.core.grammar.regex_rules import regex_rules

PATTERNS = [
    "", "abc", "a|b", "a*", "a+b?", "(ab){2,3}", "(?:a|b)*c", "[a-c]+", "[^a-c]", "a.c", r"\d{2}-\w+", r"\s\S", "a{2,}",
    "(a|ab)(c|bcd)", "x*?y", "(a(b(c)?)?)?", r"[\d.-]+", r"\x41\u0042", "(?i:ab)c", "(?s:.)", "é+", "a{0}b", "(|a)b",
]  # fmt: skip
ANCHORED = ["^a", "a$", "^a$", "^$", "^a|b$", "(^a|b)c", "a(b$|c)", "^(a|b)*$", "b|^", "(^|,)a(,|$)"]


def texts(seed: int, alphabet: str = "abcdxyABC,019- \né.") -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choice(alphabet) for _ in range(rng.randrange(7))) for _ in range(400)]


def expected(pattern: str, text: str) -> bool:
    return re.search(pattern.replace("$", r"\Z"), text, re.ASCII) is not None


@pytest.mark.parametrize("pattern", PATTERNS + ANCHORED)
def test_a_pattern_is_found_where_re_finds_it(pattern: str) -> None:
    dfa = search(pattern)
    assert [t for t in texts(1) if dfa.accepts(t) != expected(pattern, t)] == []


@pytest.mark.parametrize("pattern", [*PATTERNS, "^ab*$", "(^a|b)c*", "(a{1,3}){2,4}", "[a-c]{0,3}x"])
def test_a_grammar_of_a_pattern_matches_what_re_matches(pattern: str) -> None:
    grammar = Grammar(regex_rules(pattern))
    wanted = re.compile(f"(?:{pattern})" if "^" not in pattern else pattern, re.ASCII)
    assert [t for t in texts(2) if grammar.matches(t) != (wanted.fullmatch(t) is not None)] == []


@pytest.mark.parametrize("pattern", PATTERNS + ANCHORED)
def test_negation_and_intersection_are_those_of_sets(pattern: str) -> None:
    a, b = search(pattern), search("[ab]$")
    not_a, both = negation(a), intersection(a, b)
    for text in texts(3):
        assert not_a.accepts(text) != a.accepts(text)
        assert both.accepts(text) == (a.accepts(text) and b.accepts(text))


LETTERS = "ab1é\n"
REGEXES = st.recursive(
    st.sampled_from(["a", "b", "1", "é", ".", r"\d", r"\W", "[ab]", "[^a]", r"[b-é\s]", "ab"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("(?:{0[0]}|{0[1]})".format),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "{1,}", "*?", "??"])).map(
            "({0[0]}){0[1]}".format
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(REGEXES, st.lists(st.text(LETTERS, max_size=6), min_size=8, max_size=8))
def test_any_pattern_matches_and_is_found_as_by_re(pattern: str, texts: list[str]) -> None:
    grammar, dfa, finder = Grammar(regex_rules(pattern)), search(f"^{pattern}$"), Finder(pattern)
    wanted = re.compile(pattern, re.ASCII)
    for text in texts:
        is_match = wanted.fullmatch(text) is not None
        assert grammar.matches(text) == dfa.accepts(text) == is_match, text
        found = wanted.search(text)
        assert (finder.find(text) is None) == (found is None)
        assert search(pattern).accepts(text) == (found is not None)


def test_lists_of_strings_and_lengths_are_automata_too() -> None:
    names = ["a", "ab", "é", ""]
    for text in [*names, *texts(4)]:
        assert any_of(names).accepts(text) == (text in names) != other_than(names).accepts(text)
        assert lengths(2, 4).accepts(text) == (2 <= len(text) <= 4)
        assert lengths(3, None).accepts(text) == (len(text) >= 3)
    assert intersection(any_of(["a"]), any_of(["b"])).is_empty
    assert any_of(["abc", "xy"]).shortest[0] == 2


@pytest.mark.parametrize(
    "pattern, good, bad",
    [
        (r"\p{Lu}\p{Ll}*", ["Éa", "Ж"], ["é", "1"]),
        (r"\P{L}+", ["1 2"], ["a"]),
        (r"[\p{Letter}\p{Nd}]+", ["aé١"], ["-"]),
        (r"\u{1F600}|\ud83d\ude01", ["😀", "😁"], ["😂"]),
        (r"(?i)straße", ["STRASSE".replace("SS", "ß"), "Straße"], ["strasse"]),
        (r"[^]", ["a", "\n"], [""]),
        (r"\cJ\t\v\0", ["\n\t\x0b\0"], []),
        (r"a{,2}", ["a{,2}"], ["aa"]),
        (r"{}", ["{}"], []),
        (r"[\w-z]", ["-", "a"], ["!"]),
        (r"(?<name>a)(?P<other>b)", ["ab"], []),
        (r"\Aab\Z", ["ab"], ["abc"]),
    ],
)
def test_notations_beyond_re(pattern: str, good: list[str], bad: list[str]) -> None:
    dfa = whole(pattern)
    assert [t for t in good if not dfa.accepts(t)] == [] == [t for t in bad if dfa.accepts(t)]


@pytest.mark.parametrize(
    "pattern, message",
    [
        ("a(?=b)", "column 2: look-around is not supported, found '(?=b)'"),
        ("(?<!a)b", "column 1: look-around is not supported"),
        (r"(a)\1", "column 4: back references are not supported"),
        (r"\bfoo", "column 1: word boundaries are not supported"),
        ("(?m)^a", "column 1: this kind of group is not supported"),
        ("a**", "column 3: there is nothing to repeat before this"),
        ("*a", "column 1: there is nothing to repeat before this"),
        ("^*", "column 2: an anchor cannot be repeated"),
        ("(a", "column 1: this ( is never closed"),
        ("a)", "column 2: this ) closes nothing"),
        ("[a", "column 1: this class is never closed"),
        ("[z-a]", "column 2: the range ends before it begins"),
        ("a{3,2}", "column 2: at most is less than at least"),
        ("a{9999999}", "more than 1048576 repetitions"),
        (r"\q", "column 1: this escape is not known"),
        ("\\", "column 1: this escape is not known"),
        (r"\p{Nothing}", "this Unicode property is not known"),
        (r"\u{110000}", "U+110000 is no character"),
        ("(" * 1000 + ")" * 1000, "nested more than 100 deep"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused_with_its_position(pattern: str, message: str) -> None:
    with pytest.raises(GrammarError) as error:
        regex_rules(pattern)
    assert "regular expression, line 1, " in str(error.value)
    assert message in str(error.value)


def test_large_counts_stay_counts() -> None:
    grammar = Grammar(regex_rules("[ab]{2,100000}c"))
    assert (
        grammar.matches("ab" * 50_000 + "c") and not grammar.matches("ab" * 50_000 + "ac") and not grammar.matches("ac")
    )
    nested = Grammar(regex_rules("((a{1,1000}b?){1,1000}){3}"))
    assert nested.matches("aab" * 10) and not nested.matches("b")


def test_fault_63_patterns_whose_automaton_explodes_are_refused_in_time() -> None:
    with pytest.raises(GrammarError, match="more than 20000 states"):
        search("(a|b)*a(a|b){20}$")
    with pytest.raises(GrammarError, match="too large"):
        search("(a{1000}){1000}")
