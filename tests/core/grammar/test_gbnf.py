"""GBNF: what grammars mean, and what is said of wrong ones (faults 61 and 62)."""

from __future__ import annotations

import time

import pytest

from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.gbnf import parse_gbnf
from llamakit.core.grammar.grammar import Grammar


def grammar(text: str) -> Grammar:
    return Grammar(parse_gbnf(text))


@pytest.mark.parametrize(
    "text, good, bad",
    [
        ('root ::= "abc"', ["abc"], ["", "ab", "abcd", "ABC"]),
        ('root ::= ""', [""], ["a"]),
        ("root ::= ", [""], ["a"]),
        ('root ::= "a" | "b" |', ["a", "b", ""], ["ab"]),
        ('root ::= "a" "b"*', ["a", "ab", "abbb"], ["b", "aa"]),
        ('root ::= ("ab")+', ["ab", "abab"], ["", "aba"]),
        ('root ::= "ab"+', ["ab", "abab"], ["", "abb"]),
        ('root ::= "a"?', ["", "a"], ["aa"]),
        ('root ::= "a"{3}', ["aaa"], ["aa", "aaaa"]),
        ('root ::= "a"{2,}', ["aa", "a" * 50], ["a", ""]),
        ('root ::= "a"{2,4}', ["aa", "aaa", "aaaa"], ["a", "a" * 5]),
        ('root ::= "a"{ 0 , 1 } "b"', ["b", "ab"], ["aab"]),
        ('root ::= "a"{0,0} "b"', ["b"], ["ab"]),
        ('root ::= ("a" | "bb"){2} "c"', ["aac", "abbc", "bbbbc"], ["ac", "abc"]),
        ('root ::= ("a"{2}){3}', ["a" * 6], ["a" * 5, "a" * 7]),
        ('root ::= ("a"?){3,5} "b"', ["b", "ab", "aaaaab"], ["a" * 6 + "b"]),
        ('root ::= ("a"* "b"*){2}', ["", "aabb", "abab", "ba"], ["ababab"]),
        ("root ::= [a-c]", ["a", "b", "c"], ["d", "", "ab"]),
        ("root ::= [^a-c]", ["d", "é", "\n", "😀"], ["a", "c", ""]),
        ("root ::= [a-]", ["a", "-"], ["b"]),
        ("root ::= [-a]", ["a", "-"], ["b"]),
        (r"root ::= [\]\[\\\-]+", ["[]\\-"], ["a"]),
        (r"root ::= [\x41-\x43\u00e9\U0001F600]+", ["ABC", "é", "😀"], ["D"]),
        (r'root ::= "\n\t\r\"\\\x41\u00e9\U0001F600"', ['\n\t\r"\\Aé😀'], ["n"]),
        ("root ::= [ぁ-んァ-ヶ一-龯]+", ["ひらがなカタカナ漢字"], ["abc", "ひa"]),
        ("root ::= .", ["a", "é", "\n", "😀"], ["", "ab", b"\xff", b"\xc0\x80", b"\xed\xa0\x80"]),
        ("root ::= []", [], ["", "a"]),
        ('root ::= "(" root ")" | "x"', ["x", "((x))"], ["((x)", ")"]),
        ('root ::= a\na ::= "x" b # comment\n\n# more\nb ::= "y" | "z" a', ["xy", "xzxy"], ["x", "xz"]),
        ('root ::= (\n "a" # in a group\n | "b"\n)\n', ["a", "b"], ["ab"]),
        ('root ::= "a" |\n "b"', ["a", "b"], ["ab"]),
        ('root ::=\n "a"\r\nother ::= "b"\r\n', ["a"], ["b"]),
        ('root ::= x-1\nx-1 ::= "a"', ["a"], []),
        ('root ::= s\ns ::= "a" s s | "a"', ["a", "aaa", "a" * 21], ["", "aa"]),
    ],
)
def test_a_grammar_matches_its_texts_and_no_others(text: str, good: list[str], bad: list[str]) -> None:
    g = grammar(text)
    assert [t for t in good if not g.matches(t)] == []
    assert [t for t in bad if g.matches(t)] == []


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "no rule named root"),
        ('other ::= "a"', "no rule named root"),
        ("root ::= other", "line 1, column 10: the rule other is not defined, found 'other'"),
        ('root := "a"', "line 1, column 6: ::= is expected after the name of a rule, found ':= \"a\"'"),
        ('root ::= "a\n', "line 1, column 10: this text has no closing quote, found '\"a'"),
        ("root ::= [a", "line 1, column 10: this class has no closing bracket"),
        ("root ::= [a-", "line 1, column 10: this class has no closing bracket"),
        ('root ::= ("a"\n | (', "line 2, column 5: ) is expected for the ( of line 2, column 4, found the end"),
        ('root ::= "a")', "line 1, column 13: the end of the line is expected after a rule, found ')'"),
        ('root ::= "a"\n  $', "line 2, column 3: a rule's name is expected, found '$'"),
        ("root ::= *", "line 1, column 10: * needs something before it to repeat"),
        ('root ::= "a"{x}', "line 1, column 14: a number is expected after {, found 'x}'"),
        ('root ::= "a"{1;}', "line 1, column 15: } is expected, found ';}'"),
        ('root ::= "a"{3,1}', "line 1, column 13: at most is less than at least"),
        ('root ::= "a"{99999999999999999999}', "more than 2147483648 repetitions"),
        (r'root ::= "\q"', "column 11: unknown escape"),
        (r'root ::= "\x4"', r"hex digits are expected after \x"),
        (r"root ::= [\U00110000]", "U+110000 is no character"),
        (r'root ::= "\ud800"', "U+D800 is no character"),
        ("root ::= [z-a]", "column 11: the range ends before it begins, found 'z-a]'"),
        ("root ::= <[5", "a token is written <[id]> or <text>"),
        ("root ::= <[99999999999]>", "the token id is too large"),
        ('root ::= root "a" | "b"', "left recursion: root -> root"),
        ('root ::= a* b\na ::= "x"\nb ::= c\nc ::= "y"? b', "left recursion: b -> c -> b"),
        ("root ::= x\nx ::= y\ny ::= x", "left recursion"),
    ],
)
def test_a_wrong_grammar_is_refused_with_the_place_and_the_text(text: str, message: str) -> None:
    with pytest.raises(GrammarError) as error:
        grammar(text)
    assert message in str(error.value)


DEPTH = 20_000


@pytest.mark.parametrize(
    "text, good, bad",
    [
        ("root ::= " + "(" * DEPTH + '"a"' + ")" * DEPTH, "a", "b"),
        ("root ::= " + "(" * DEPTH + '"a"' + ")*" * DEPTH, "aaa", "b"),
        ('root ::= ("a"*)*', "aaa", "b"),
        ('root ::= ("a"*){1000000} "b"', "aab", "bb"),
        ('root ::= "x"{10000}', "x" * 10_000, "x" * 10_001),
        ("root ::= " + " | ".join(f'"w{i}"' for i in range(DEPTH)), f"w{DEPTH - 1}", f"w{DEPTH}"),
        ("root ::= [\\U00000000-\\U0010FFFF]+", "aé😀", b"\xff"),
        ('root ::= a "b"\na ::= ', "b", "ab"),
        ("".join(f'r{i} ::= "a" r{i + 1}?\n' for i in range(DEPTH)) + f'r{DEPTH} ::= "b"\nroot ::= r0', "aaa", "b"),
    ],
    ids=["groups", "repeated groups", "a**", "counted empties", "large count", "choices", "all", "empty rule", "chain"],
)
def test_fault_61_extreme_grammars_work(text: str, good: str, bad: str) -> None:
    g = grammar(text)
    assert g.matches(good) and not g.matches(bad)


def test_fault_61_a_long_cycle_is_said_shortly() -> None:
    chain = "".join(f"r{i} ::= r{i + 1}\n" for i in range(1000))
    with pytest.raises(GrammarError, match=r"r0 -> r1 -> r2 -> r3 -> \.\.\. -> r1000 -> r0 comes back to itself"):
        grammar(f"{chain}r1000 ::= r0\nroot ::= r0")


def test_fault_61_unclosed_nesting_is_refused() -> None:
    with pytest.raises(GrammarError, match="is expected for the"):
        grammar("root ::= " + "(" * DEPTH)


def test_fault_62_ways_that_double_with_each_byte_end_in_an_error_not_in_a_hang() -> None:
    g = grammar('root ::= "a" root "b" | "a" root "c" | "x"')
    assert g.matches("aaaxbcb")
    start = time.process_time()
    with pytest.raises(GrammarError, match="too ambiguous"):
        g.matches("a" * 100)
    assert time.process_time() - start < 20
    assert g.matches("aaaxbcb") and not g.matches("aaaxbc")  # other texts go on
