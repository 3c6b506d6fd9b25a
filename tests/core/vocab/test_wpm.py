"""WordPiece: how words are found, and how they are cut."""

from __future__ import annotations

import pytest

from llamakit.core.vocab import Vocab, load_vocab
from tests.core.vocab.vocabs import CONTROL, kind_metadata, texts_of

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
IDS = {"padding_token_id": 0, "unknown_token_id": 1, "bos_token_id": 2, "seperator_token_id": 3, "mask_token_id": 4}


def bert(*texts: str, **keys: object) -> Vocab:
    return load_vocab(kind_metadata("bert", [*SPECIAL, *texts], [CONTROL] * 5, **IDS, **keys))


@pytest.mark.parametrize(
    "text, expected",
    [
        ("un", ["▁un"]),
        ("unable", ["▁un", "able"]),
        ("unablest", ["[UNK]"]),  # no token goes on after "unable": the whole word is unknown
        ("able", ["[UNK]"]),  # that token only goes on
        ("un able\tun\n", ["▁un", "[UNK]", "▁un"]),
        ("UN", ["▁un"]),
        ("ún u\u0301n", ["▁un", "▁un"]),
        ("un!un", ["▁un", "▁!", "▁un"]),
        ("un中un", ["▁un", "▁中", "▁un"]),
        ("u\0n\u00ad\u200d\ufffd", ["▁un"]),  # what has no shape vanishes within the word
        ("\u3000un\x85un", ["▁un", "▁un"]),
        ("$ £", ["▁$", "[UNK]"]),  # ASCII symbols part words, others do not
        ("[MASK]", ["[UNK]", "[UNK]", "[UNK]"]),
        ("", []),
    ],
)
def test_words_are_cut_into_the_longest_tokens(text: str, expected: list[str]) -> None:
    vocab = bert("▁un", "able", "▁u", "n", "▁!", "▁中", "▁$", "a")
    assert texts_of(vocab, vocab.encode(text, add_special=False)) == expected


@pytest.mark.parametrize(
    "keys, expected",
    [
        ({}, ["▁e", "▁e"]),
        ({"normalizer.lowercase": False}, ["▁É", "▁e"]),
        ({"normalizer.strip_accents": False}, ["▁é", "▁e"]),
        ({"normalizer.lowercase": False, "normalizer.strip_accents": True}, ["▁E", "▁e"]),
    ],
)
def test_keys_say_whether_case_and_accents_are_kept(keys: dict[str, bool], expected: list[str]) -> None:
    vocab = bert("▁e", "▁E", "▁é", "▁É", **keys)
    assert texts_of(vocab, vocab.encode("É e", add_special=False)) == expected


@pytest.mark.parametrize("add_bos", [True, False])
def test_cls_and_sep_are_put_around_whatever_the_keys_say(add_bos: bool) -> None:
    vocab = bert("▁a", add_bos_token=add_bos)
    assert texts_of(vocab, vocab.encode("a[MASK]", parse_special=True)) == ["[CLS]", "▁a", "[MASK]", "[SEP]"]
    assert (vocab.add_bos, vocab.add_sep, vocab.newline_id) == (add_bos, True, 0)


def test_words_are_joined_with_spaces_and_punctuation_without() -> None:
    vocab = bert("▁hi", "▁,", "▁you", "rs")
    assert vocab.detokenize(vocab.encode("Hi, yours"), remove_special=True) == b" hi, yours"


def test_words_that_were_seen_before_stay_the_same() -> None:
    vocab = bert("▁un", "able")
    assert vocab.encode("unable unable") == vocab.encode("unable unable") == [2, 5, 6, 5, 6, 3]
