"""SentencePiece BPE: merges by score, byte fallback, and the sentencepiece library as a second engine."""

from __future__ import annotations

import random

import pytest

from llamakit.core.vocab import load_vocab
from tests.core.vocab.vocabs import BYTE, CONTROL, NORMAL, SHARED, UNKNOWN, engine, needs_shared, spm_metadata, texts_of

ENGINES = pytest.mark.parametrize("name", ["own", "library"])


@ENGINES
@pytest.mark.parametrize(
    "pieces, text, expected",
    [
        ([("a", 0), ("b", 0), ("ab", -1)], "ab", ["ab"]),
        ([("a", 0), ("b", 0), ("c", 0), ("ab", -1), ("bc", -2)], "abc", ["ab", "c"]),
        ([("a", 0), ("b", 0), ("c", 0), ("ab", -2), ("bc", -1)], "abc", ["a", "bc"]),
        ([("a", 0), ("aa", -1)], "aaaaa", ["aa", "aa", "a"]),  # ties go to the left
        ([("a", 0), ("aa", -1), ("aaa", -0.5)], "aaaaa", ["aaa", "aa"]),  # a better pair made on the way comes first
        ([("é", 0)], "éö", ["é", "<0xC3>", "<0xB6>"]),
        ([("ab", -1)], "abb", ["ab", "<0x62>"]),  # the parts of a merge need not be tokens
        ([("a", 0), ("▁a", -1)], "a a", ["a", "▁a"]),
    ],
)
def test_merges_apply_by_score(name: str, pieces: list[tuple[str, float]], text: str, expected: list[str]) -> None:
    metadata = spm_metadata([(piece, float(score)) for piece, score in pieces], add_space_prefix=False)
    vocab = load_vocab(metadata)
    with engine(name):
        assert texts_of(vocab, vocab.encode(text, add_special=False)) == expected


def test_a_space_goes_in_front_of_every_fragment_and_comes_off_again() -> None:
    vocab = load_vocab(spm_metadata([("a", -1.0), ("▁a", 0.0)]))
    ids = vocab.encode("a a</s>a", parse_special=True)
    assert texts_of(vocab, ids) == ["<s>", "▁a", "▁a", "</s>", "▁a"]
    assert vocab.detokenize(ids[1:]) == b"a a a"
    assert vocab.detokenize(ids, special=True) == b"<s> a a</s> a"
    assert vocab.detokenize(ids, special=True, remove_special=True) == b" a a</s> a"


def test_an_empty_text_gives_just_the_specials() -> None:
    vocab = load_vocab(spm_metadata(add_eos_token=True))
    assert vocab.encode("") == [1, 2]
    assert vocab.encode("", add_special=False) == []


@ENGINES
@pytest.mark.parametrize(
    "raw", [b"\xff", b"a\xe2\x82", b"\xe2ab", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\x00a", bytes(range(256))]
)
def test_bytes_that_are_not_utf8_round_trip(name: str, raw: bytes) -> None:
    vocab = load_vocab(spm_metadata([("a", 0.0), ("aa", 0.0)], add_space_prefix=False))
    with engine(name):
        assert vocab.detokenize(vocab.encode(raw, add_special=False)) == raw


@ENGINES
def test_without_byte_tokens_the_character_or_the_unknown_token_stands_in(name: str) -> None:
    vocab = load_vocab(spm_metadata([("xy", 0.0)], with_bytes=False, add_space_prefix=False))
    with engine(name):
        assert texts_of(vocab, vocab.encode("xy é", add_special=False)) == ["xy", "▁", "<unk>", "<unk>"]


def test_both_engines_agree_on_random_vocabularies() -> None:
    rng = random.Random(4)
    for case in range(60):
        pieces = {"".join(rng.choices("abc▁é\0", k=rng.randrange(1, 5))): float(-rng.randrange(5)) for _ in range(30)}
        vocab = load_vocab(spm_metadata(list(pieces.items()), with_bytes=case % 2 == 0))
        for _ in range(5):
            text = "".join(rng.choices("aabbc é😀\n1\0", k=20))
            with engine("own"):
                own = vocab.encode(text)
            with engine("library"):
                assert vocab.encode(text) == own, (pieces, text)


@needs_shared
@pytest.mark.parametrize("folder", ["llama", "gemma3"])
def test_ids_are_those_of_sentencepiece(folder: str) -> None:
    from sentencepiece import SentencePieceProcessor

    oracle = SentencePieceProcessor(model_file=str(SHARED / "golden/hf" / folder / "tokenizer.model"))
    ids = range(oracle.vocab_size())
    kinds = [
        UNKNOWN if oracle.is_unknown(i) else CONTROL if oracle.is_control(i) else BYTE if oracle.is_byte(i) else NORMAL
        for i in ids
    ]
    metadata = spm_metadata() | {
        "tokenizer.ggml.tokens": [oracle.id_to_piece(i) for i in ids],
        "tokenizer.ggml.scores": [oracle.get_score(i) for i in ids],
        "tokenizer.ggml.token_type": kinds,
    }
    vocab = load_vocab(metadata)
    for text in ["Hello, world!", "It is 2024 and the", "naïve café", "日本語 😀"]:
        with engine("own"):
            assert vocab.encode(text, add_special=False) == oracle.encode(text)
        assert vocab.detokenize(oracle.encode(text)).decode() == oracle.decode(oracle.encode(text))
