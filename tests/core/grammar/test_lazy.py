"""Grammars that wait for a trigger, and where patterns are found."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.gbnf import parse_gbnf
from llamakit.core.grammar.grammar import Grammar
from llamakit.core.grammar.lazy import LazyMatcher
from llamakit.core.grammar.regex_find import Finder
from llamakit.core.grammar.triggers import Triggers
from tests.core.grammar.tokens import Tokens, mask_of, tried

TOOL = Grammar(parse_gbnf('root ::= "<tool>" [0-9]+ "</tool>"'))


def lazy(text: str, vocab: Tokens, grammar: Grammar = TOOL, **triggers: Any) -> LazyMatcher:
    """A matcher after the text, in single bytes."""
    matcher = grammar.lazy_matcher(vocab, Triggers(**triggers))
    for byte in text.encode():
        matcher.accept(byte)
    return matcher


@pytest.mark.parametrize(
    "triggers, text, is_awake",
    [
        ({"words": ("<tool>",)}, "abc <tool", False),
        ({"words": ("<tool>",)}, "abc <tool>", True),
        ({"words": ("<other>", "<tool>")}, "<tool>", True),
        ({"patterns": (r"call:\s*(<tool>)",)}, "call:  <tool>", True),
        ({"patterns": (r"call:\s*(<tool>)",)}, "<tool>", False),
        ({"patterns": (r"(x)?<tool>",)}, "aé<tool>", True),
        ({"full_patterns": (r"\w*(<tool>)",)}, "abc<tool>", True),
        ({"full_patterns": (r"\w*(<tool>)",)}, "a b<tool>", False),
    ],
)
def test_a_grammar_wakes_at_its_trigger(triggers: Any, text: str, is_awake: bool) -> None:
    vocab = Tokens()
    matcher = lazy(text, vocab, **triggers)
    assert matcher.is_awake == is_awake
    digits = list(range(ord("0"), ord("9") + 1))
    assert mask_of(matcher) == tried(matcher) == (digits if is_awake else list(range(vocab.n_tokens)))
    assert matcher.is_accepting == (not is_awake)


def test_a_token_that_overlaps_the_trigger_is_read_from_there() -> None:
    vocab = Tokens("x<to", "ol>12")
    matcher = lazy("abc", vocab, words=("<tool>",))
    matcher.accept(vocab.id("x<to"))
    matcher.accept(vocab.id("ol>12"))
    assert matcher.is_awake and matcher.forced() == b""
    matcher.accept(ord("<"))
    assert matcher.forced() == b"/tool>"


def test_text_after_the_trigger_that_the_grammar_forbids_is_an_error() -> None:
    vocab = Tokens("<tool>x")
    matcher = lazy("abc", vocab, words=("<tool>",))
    with pytest.raises(GrammarError, match="'<tool>x' cannot come next"):
        matcher.accept(vocab.id("<tool>x"))
    assert not matcher.is_awake
    matcher.accept(ord("d"))  # nothing has changed


def test_a_trigger_token_is_read_by_the_grammar() -> None:
    vocab = Tokens(control=("<think>",))
    grammar = Grammar(parse_gbnf('root ::= <think> "a"'))
    for triggers in (Triggers(tokens=frozenset([vocab.names["<think>"]])), Triggers(words=("<think>",))):
        matcher = grammar.lazy_matcher(vocab, triggers)
        matcher.accept(ord("x"))
        matcher.accept(vocab.names["<think>"])
        assert mask_of(matcher) == [ord("a")]


def test_control_tokens_are_text_for_triggers_and_where_the_grammar_spells_them() -> None:
    vocab = Tokens("assist", control=("<|start|>", "<|message|>", "<|end|>"))
    start, message = vocab.names["<|start|>"], vocab.names["<|message|>"]
    grammar = Grammar(parse_gbnf('root ::= "<|start|>assistant to=f<|message|>" [0-9]+'))
    matcher = lazy("thinking", vocab, grammar, patterns=(r"(<\|start\|>assistant to=)",))
    for token in (start, vocab.id("assist"), *b"ant to="):
        assert not matcher.is_awake
        matcher.accept(token)
    assert matcher.is_awake and mask_of(matcher) == [ord("f")]
    matcher.accept(ord("f"))
    assert mask_of(matcher) == tried(matcher) == [ord("<"), message]
    matcher.accept(message)
    matcher.rollback(2)
    matcher.accept(ord("f"))
    for byte in b"<|message|>1":
        matcher.accept(byte)
    assert vocab.eos in mask_of(matcher)


def test_tokens_that_overlap_the_trigger_stay_tokens() -> None:
    vocab = Tokens("x<a", control=("<b>",))
    grammar = Grammar(parse_gbnf('root ::= "<a>" <b> "c"'))
    matcher = lazy("y", vocab, grammar, patterns=("(<a>)<b>",))
    for token in (vocab.id("x<a"), ord(">"), vocab.names["<b>"]):
        matcher.accept(token)
    assert matcher.is_awake and mask_of(matcher) == [ord("c")]
    matcher.rollback(1)
    assert not matcher.is_awake
    matcher.accept(vocab.names["<b>"])
    assert mask_of(matcher) == [ord("c")]


def test_a_sequence_can_go_back_after_states_were_forgotten() -> None:
    vocab = Tokens()
    matcher = lazy("ab<tool>" + "1" * 200, vocab, words=("<tool>",))
    matcher.matcher.automaton.forget()
    matcher.rollback(3)
    assert matcher.is_awake and ord("7") in mask_of(matcher)


@pytest.mark.parametrize(
    "full, text, is_awake",
    [
        (r"[\s\S]*?(<tool>)", "a\nb<tool>", True),
        (r"<tool>", "a<tool>", False),
        (r"\s*(<tool>)[\s\S]*", "a <tool>", False),
        (r"\s*(<tool>)[\s\S]*", "\n <tool>", True),
        (r".*(<tool>)", "a\nb<tool>", False),
    ],
)
def test_a_full_pattern_matches_all_of_the_text_so_far(full: str, text: str, is_awake: bool) -> None:
    assert lazy(text, Tokens(), full_patterns=(full,)).is_awake == is_awake


@pytest.mark.parametrize(
    "pattern, text, read",
    [
        (r"<tool>", "a<tool>", "<tool>"),  # no group: from where the match begins
        (r"call (<tool>)", "call <tool>", "<tool>"),
        (r"(x)?(<tool>)", "a<tool>", "<tool>"),  # the first group that is not empty
        (r"()a(<tool>)", "a<tool>", "<tool>"),
    ],
)
def test_the_grammar_reads_from_the_first_group_that_is_not_empty(pattern: str, text: str, read: str) -> None:
    matcher = lazy(text, Tokens(), Grammar(parse_gbnf(f'root ::= "{read}" "!"')), patterns=(pattern,))
    assert matcher.is_awake and mask_of(matcher) == [ord("!")]


def test_a_sequence_can_go_back_before_its_trigger() -> None:
    vocab = Tokens()
    matcher = lazy("ab<tool>1", vocab, words=("<tool>",))
    copy = matcher.copy()
    matcher.rollback(2)
    assert not matcher.is_awake
    for byte in b">2":
        matcher.accept(byte)
    assert matcher.is_awake and copy.is_awake
    matcher.rollback(4)
    for byte in b"no, <tool>":
        matcher.accept(byte)
    assert matcher.is_awake
    with pytest.raises(ValueError, match="cannot go back 99"):
        matcher.rollback(99)


@pytest.mark.parametrize(
    "pattern",
    ["a", "(a|ab)(c|bcd)", "(a*)(b)?", "(a(b(c)?)?)?d", "(ab){2,3}(c)", "^(a)|b$", "((a)|b)+", "(a{0,2})(a*)c", "(|a)b",
     "[^a]+(a)", "x*?(y)", "(?:a|(b))*c"],
)  # fmt: skip
def test_a_pattern_and_its_groups_are_found_where_re_finds_them(pattern: str) -> None:
    rng, finder, wanted = random.Random(1), Finder(pattern), re.compile(pattern)
    for _ in range(300):
        text = "".join(rng.choice("abcdxy") for _ in range(rng.randrange(9)))
        match = wanted.search(text)
        groups = () if match is None else tuple(x for i in range(1, wanted.groups + 1) for x in match.span(i))
        assert finder.find(text) == (None if match is None else (match.start(), groups)), text
