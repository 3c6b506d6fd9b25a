"""Unigram: the search for the best cut, spaces, and the normalizer of a file."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from llamakit.core.vocab import Vocab, load_vocab
from llamakit.core.vocab.charsmap import KEY
from llamakit.errors import VocabError
from tests.core.vocab.vocabs import CONTROL, NORMAL, UNKNOWN, UNUSED, USER_DEFINED, engine, kind_metadata, texts_of

ENGINES = pytest.mark.parametrize("name", ["own", "library"])
DATA = Path(__file__).parents[2] / "data/vocabs.json"


def t5(pieces: dict[str, float], types: dict[str, int] | None = None, **keys: Any) -> Vocab:
    texts = ["<pad>", "</s>", "<unk>", "▁", *pieces]
    kinds = [CONTROL, CONTROL, UNKNOWN, NORMAL, *((types or {}).get(text, NORMAL) for text in pieces)]
    scores = [0.0, 0.0, 0.0, -2.0, *pieces.values()]
    return load_vocab(kind_metadata("t5", texts, kinds, scores=scores, **keys))


@ENGINES
@pytest.mark.parametrize(
    "pieces, text, expected",
    [
        ({"a": -1.0, "b": -1.0, "ab": -1.5}, "ab", ["ab"]),
        ({"a": -1.0, "b": -1.0, "ab": -2.5}, "ab", ["a", "b"]),
        ({"a": -1.0, "b": -1.0, "ab": -2.0}, "ab", ["ab"]),  # of equal sums the first one found
        ({"ab": -1.0, "bc": -1.0, "c": -5.0, "a": -1.0}, "abc", ["a", "bc"]),
        ({"a": -1.0}, "axya", ["a", "<unk>", "a"]),  # unknown characters become one token
        ({"a": -1.0, "ax": -20.0}, "ax", ["ax"]),
        ({"a": -1.0, "▁a": -1.0}, "a a", ["a", "▁a"]),
        ({"é": -1.0}, "é", ["é"]),
    ],
)
def test_the_cut_with_the_highest_sum_of_scores_is_taken(
    name: str, pieces: dict[str, float], text: str, expected: list[str]
) -> None:
    vocab = t5(pieces)
    with engine(name):
        assert texts_of(vocab, vocab.encode(text, add_special=False)) == expected


@ENGINES
def test_user_defined_tokens_score_zero_and_control_tokens_are_out_of_reach(name: str) -> None:
    types = {"ab": USER_DEFINED, "c": CONTROL, "d": UNUSED}
    vocab = t5({"a": -0.5, "b": -0.5, "ab": -100.0, "c": 0.0, "d": -1.0}, types)
    with engine(name):
        assert texts_of(vocab, vocab.encode("abcd", add_special=False)) == ["ab", "<unk>", "d"]


@pytest.mark.parametrize(
    "prefix, merge, text, expected",
    [
        (True, True, "  a  a ", "▁a▁a"),
        (False, True, "  a  a ", "▁a▁a"),
        (True, False, "  a  a ", "▁▁▁a▁▁a▁"),
        (False, False, "  a  a ", "▁▁a▁▁a▁"),
        (True, False, "  ", "▁▁"),
        (True, True, "  ", ""),
        (True, True, "", ""),
    ],
)
def test_keys_say_what_becomes_of_spaces(prefix: bool, merge: bool, text: str, expected: str) -> None:
    vocab = t5({"a": -1.0}, add_space_prefix=prefix, remove_extra_whitespaces=merge)
    assert "".join(texts_of(vocab, vocab.encode(text, add_special=False))) == expected


def test_eos_ends_a_text() -> None:
    vocab = t5({"a": -1.0})
    assert texts_of(vocab, vocab.encode("a")) == ["a", "</s>"]
    assert vocab.detokenize(vocab.encode("a a"), remove_special=True) == b"a a"
    assert vocab.newline_id == 2


def test_both_engines_agree_on_random_vocabularies() -> None:
    rng = random.Random(5)
    for _ in range(40):
        texts = {"".join(rng.choices("abc▁é", k=rng.randrange(1, 5))) for _ in range(25)} - {"▁"}
        vocab = t5({text: -rng.randrange(8) / 4 for text in sorted(texts)})
        for _ in range(5):
            text = "".join(rng.choices("aabbc éx", k=20))
            with engine("own"):
                own = vocab.encode(text)
            with engine("library"):
                assert vocab.encode(text) == own, (sorted(texts), text)


CHARSMAP = json.loads(DATA.read_text())["vocabs"]["t5"][KEY]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("ﬁ", "fi"),
        ("①\u3000Ａ", "1 A"),
        ("e\u0301", "é"),
        ("e\u0301\u0301", "é\u0301"),  # the longest key
        ("ee\u0301e", "eée"),
        ("A\u030ab", "\u00c5b"),
        ("…ab", "...ab"),
        ("\u200d", ""),
        ("plain", "plain"),
    ],
)
@pytest.mark.parametrize("sign", [0, 256])
def test_the_charsmap_replaces_the_longest_key_at_each_place(text: str, expected: str, sign: int) -> None:
    letters = dict.fromkeys("fi1Aaeépln.b\u0301\u00c5▁ ".replace(" ", "").replace("▁", ""), -1.0)
    signed = [byte - sign if byte > 127 else byte for byte in CHARSMAP]  # int8 or uint8
    vocab = t5(letters, **{KEY.removeprefix("tokenizer.ggml."): signed})
    assert "".join(texts_of(vocab, vocab.encode(text, add_special=False))) == expected.replace(" ", "▁")


@pytest.mark.parametrize(
    "value", ["abc", [1.5], [300], ["a"], [1, 2], [0, 0, 0, 0, 1], [9, 0, 0, 0] + [0] * 20, CHARSMAP[:600]]
)
def test_fault_18_a_charsmap_that_is_none_is_rejected(value: object) -> None:
    with pytest.raises(VocabError, match="precompiled_charsmap"):
        t5({"a": -1.0}, precompiled_charsmap=value)


def test_fault_18_a_damaged_charsmap_never_crashes() -> None:
    rng = random.Random(6)
    for _ in range(300):
        damaged = CHARSMAP.copy()
        for _ in range(rng.randrange(1, 20)):
            damaged[rng.randrange(4, len(damaged))] = rng.randrange(256)
        vocab = t5({"a": -1.0}, precompiled_charsmap=damaged)
        try:
            vocab.encode("ﬁ①e\u0301Ａ\u3000…™ab\u00e9\U0001f600")
        except VocabError as error:
            assert "is damaged" in str(error)
