"""Sequences of tokens: masks, going on, going back (fault 64)."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest

from llamakit.core.grammar import automaton as automaton_module
from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.gbnf import parse_gbnf
from llamakit.core.grammar.grammar import Grammar
from llamakit.core.grammar.schema_rules import schema_rules
from tests.core.grammar.tokens import Tokens, mask_of, tried

WORDS = ('{"', '":', '"}', "true", "tru", "e", "12", "1", ", ", '", "', "é", b"\xc3", b"\xa9", "\U0001f600", "aa",
         "aaa", "ab", "((", "))", b"\xf0\x9f", "<x>")  # fmt: skip

JSON = r"""
root ::= value
value ::= object | list | string | number | "true" | "false" | "null"
object ::= "{" ( pair ( "," " "? pair )* )? "}"
pair ::= string ":" " "? value
list ::= "[" ( value ( "," " "? value )* )? "]"
string ::= "\"" ( [^"\\\x00-\x1f] | "\\" ["\\/bfnrt] )* "\""
number ::= "-"? [0-9]+ ( "." [0-9]+ )?
"""

GRAMMARS = {
    "json": JSON,
    "nested": 'root ::= "(" root ")" | "a"{0,3} | "é"',
    "counts": 'root ::= ("a"{2} | "ab"){3,5} "1"?',
    "any": "root ::= .{0,5}",
    "ambiguous": 'root ::= ("a" | "aa" | "aaa" | "ab"){1,4}',
}


def random_walk(g: Grammar, vocab: Tokens, seed: int, n_steps: int, forgets: bool = False) -> None:
    rng = random.Random(seed)
    matcher = g.matcher(vocab)
    for _ in range(n_steps):
        allowed = mask_of(matcher)
        assert allowed == tried(matcher)
        assert matcher.is_accepting == (vocab.eos in allowed)
        assert matcher.is_dead == (not allowed)
        choices = [t for t in allowed if t != vocab.eos]
        if not choices:
            break
        matcher.accept(rng.choice(choices))
        if forgets:
            matcher.automaton.forget()


@pytest.mark.parametrize("name", GRAMMARS)
def test_a_mask_holds_exactly_the_tokens_that_can_be_accepted(name: str) -> None:
    g, vocab = Grammar(parse_gbnf(GRAMMARS[name])), Tokens(*WORDS)
    for seed in range(4):
        random_walk(g, vocab, seed, 12)


@pytest.mark.parametrize("name", GRAMMARS)
def test_forgetting_states_changes_nothing(name: str) -> None:
    g, vocab = Grammar(parse_gbnf(GRAMMARS[name])), Tokens(*WORDS)
    for seed in range(4):
        random_walk(g, vocab, seed, 12, forgets=True)


def test_states_of_many_ways_are_kept_when_others_are_forgotten() -> None:
    vocab = Tokens("aa")
    matcher = Grammar(parse_gbnf("root ::= " + '"a"? ' * 2000 + '"b"')).matcher(vocab)
    matcher.accept(ord("a"))
    allowed = mask_of(matcher)
    matcher.automaton.forget()
    assert mask_of(matcher) == allowed == [ord("a"), ord("b"), vocab.id("aa")]
    for _ in range(5):
        matcher.accept(ord("a"))
        matcher.automaton.forget()
    matcher.accept(ord("b"))
    assert mask_of(matcher) == [vocab.eos]


@pytest.mark.parametrize(
    "text, good, allowed",
    [
        ('root ::= "ab"{2} "c"?', "abab", "c"),
        ("root ::= [é]{1,2}", "éé", ""),
        ('root ::= ("ab" "c"?){2} "x"', "abcabc", "x"),
        ('root ::= ("ab"{2} "cd"){2}', "ababcdabab", "c"),
    ],
)
def test_fault_64_nothing_begins_that_is_one_too_many(text: str, good: str, allowed: str) -> None:
    vocab = Tokens()
    matcher = Grammar(parse_gbnf(text)).matcher(vocab)
    for byte in good.encode():
        matcher.accept(byte)
    assert [t for t in mask_of(matcher) if t != vocab.eos] == [*allowed.encode()]


def test_a_long_text_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automaton_module, "MOST_BYTES", 4 << 20)
    g = Grammar(parse_gbnf('root ::= "a"{100000} "b"'))
    assert g.matches("a" * 100_000 + "b") and not g.matches("a" * 99_999 + "b")
    automaton = g.automaton(g.program)
    assert automaton.generation > 2 and automaton.n_bytes(automaton.sizes()) <= 4 << 20


def test_pieces_of_characters_are_allowed_where_the_character_is() -> None:
    vocab = Tokens(*WORDS)
    matcher = Grammar(parse_gbnf('root ::= [é-ë] "x"')).matcher(vocab)
    assert mask_of(matcher) == sorted([vocab.id("é"), 0xC3, len(vocab.pieces) - 1 - len(WORDS) + WORDS.index(b"\xc3")])
    matcher.accept(0xC3)
    assert mask_of(matcher) == [0xA9, 0xAA, 0xAB, 256 + WORDS.index(b"\xa9")]


def test_a_sequence_can_go_back_and_be_copied() -> None:
    vocab = Tokens("ab")
    matcher = Grammar(parse_gbnf('root ::= "a" "b" "c" "d"')).matcher(vocab)
    matcher.accept(vocab.id("ab"))
    copy = matcher.copy()
    matcher.accept(ord("c"))
    matcher.accept(ord("d"))
    matcher.accept(vocab.eos)
    assert matcher.is_dead and mask_of(matcher) == []
    matcher.rollback(2)
    assert mask_of(matcher) == [ord("d")]
    matcher.rollback(2)
    assert mask_of(matcher) == [ord("a"), vocab.id("ab")]
    assert mask_of(copy) == [ord("c")]
    with pytest.raises(ValueError, match="cannot go back 1"):
        matcher.rollback(1)


def test_fault_64_a_text_ends_only_where_it_is_complete() -> None:
    vocab = Tokens()
    matcher = Grammar(parse_gbnf('root ::= "a"')).matcher(vocab)
    with pytest.raises(GrammarError, match="cannot come next"):
        matcher.accept(vocab.eos)
    matcher.accept(ord("a"))
    assert mask_of(matcher) == [vocab.eos]


def test_fault_64_a_dead_end_is_an_empty_mask() -> None:
    vocab = Tokens()
    matcher = Grammar(parse_gbnf('root ::= "a" []')).matcher(vocab)
    matcher.accept(ord("a"))
    assert mask_of(matcher) == [] and matcher.is_dead and not matcher.is_accepting


def test_a_refused_token_changes_nothing() -> None:
    matcher = Grammar(parse_gbnf('root ::= "ab"')).matcher(Tokens())
    matcher.accept(ord("a"))
    for token in (ord("x"), -1, 10**9):
        with pytest.raises(GrammarError, match=f"token {token}"):
            matcher.accept(token)
    assert mask_of(matcher) == [ord("b")]


def test_tokens_are_matched_whole_and_never_as_text() -> None:
    vocab = Tokens("<x>", control=("<think>", "<end>"))
    think, end = vocab.names["<think>"], vocab.names["<end>"]
    matcher = Grammar(parse_gbnf(f'root ::= <think> !<end>* <[{end}]> "a"')).matcher(vocab)
    assert mask_of(matcher) == tried(matcher) == [think]
    matcher.accept(think)
    everything = [t for t in range(vocab.n_tokens) if t != vocab.eos]
    assert mask_of(matcher) == tried(matcher) == everything
    matcher.accept(vocab.id("<x>"))
    matcher.accept(end)
    assert mask_of(matcher) == tried(matcher) == [ord("a")]


@pytest.mark.parametrize(
    "text, is_match",
    [
        ("a" * 10**6, True),
        ("_" * 10**6, True),
        (" " * 10**6, True),
        ("😀" * 250_000, True),
        ("\0" * 10**6, True),
        (b"a" * 1000 + b"\xff", False),
        (b"\xed\xa0\x80", False),
        ("\ud800", False),
        (b"\xf0\x9f\x98", False),
    ],
    ids=["a", "_", "blanks", "emoji", "zeros", "no UTF-8", "surrogate", "lone surrogate", "half a character"],
)
def test_fault_59_long_and_broken_texts_are_read_in_time(text: str | bytes, is_match: bool) -> None:
    g = Grammar(parse_gbnf("root ::= .*"))
    start = time.process_time()
    assert g.matches(text) == is_match
    assert time.process_time() - start < 2


def test_fault_60_only_what_a_grammar_spells_out_may_be_a_control_token() -> None:
    vocab = Tokens("<|im", control=("<|im_end|>",))
    end = vocab.names["<|im_end|>"]
    free = Grammar(parse_gbnf(r'root ::= "\"" [^"]* "\""')).matcher(vocab)
    free.accept(ord('"'))
    assert vocab.id("<|im") in mask_of(free) and end not in mask_of(free)
    for schema in ({"const": "<|im_end|>"}, {"properties": {"<|im_end|>": {}}}, {"type": "string"}):
        matcher = Grammar(schema_rules(schema)).matcher(vocab)
        for byte in b'"' if "properties" not in schema else b'{"':
            matcher.accept(byte)
        assert ord("<") in mask_of(matcher) and end not in mask_of(matcher)
    spelled = Grammar(parse_gbnf('root ::= "a<|im_end|>b" | "<|im_end|"')).matcher(vocab)
    assert mask_of(spelled) == [ord("<"), ord("a"), vocab.id("<|im")]
    spelled.accept(ord("a"))
    assert mask_of(spelled) == tried(spelled) == [ord("<"), vocab.id("<|im"), end]
    spelled.accept(end)
    assert mask_of(spelled) == [ord("b")]


@pytest.mark.parametrize(
    "text, message",
    [("root ::= <nothing>", "<nothing> is 9 tokens"), ("root ::= <[300]>", "names token 300; the last one")],
)
def test_a_token_that_the_vocabulary_lacks_is_an_error(text: str, message: str) -> None:
    with pytest.raises(GrammarError, match=message):
        Grammar(parse_gbnf(text)).matcher(Tokens())


def test_text_cannot_be_matched_by_a_grammar_of_tokens() -> None:
    with pytest.raises(GrammarError, match="names tokens"):
        Grammar(parse_gbnf("root ::= <[5]>")).matches("a")


def test_forced_bytes_are_those_without_a_choice() -> None:
    vocab = Tokens()
    matcher = Grammar(parse_gbnf('root ::= "name: " ("abc" | "abd") "!"?')).matcher(vocab)
    assert matcher.forced() == b"name: ab"
    assert matcher.forced(3) == b"nam"
    for byte in b"name: ab":
        matcher.accept(byte)
    assert matcher.forced() == b""
    matcher.accept(ord("c"))
    assert matcher.forced() == b""  # the text may end here


def test_tokens_with_equal_bytes_are_allowed_together() -> None:
    vocab = Tokens("ab", "ab", "a")
    matcher = Grammar(parse_gbnf('root ::= "ab"')).matcher(vocab)
    assert mask_of(matcher) == tried(matcher) == [ord("a"), 256, 257, 258]


def test_a_mask_longer_than_the_vocabulary_is_filled_with_zeros() -> None:
    matcher = Grammar(parse_gbnf('root ::= "a"')).matcher(Tokens())
    words = np.full(20, 0xFFFFFFFF, np.uint32)
    matcher.fill_mask(words)
    assert words[3] == 1 << 1 and words.sum() == 2
