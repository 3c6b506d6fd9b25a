"""Golden strings: what a file says of its own tokenizer is held against what is made of it."""

from __future__ import annotations

from typing import Any

import pytest

from llamakit.core.vocab.base import load_vocab, read_vocab
from llamakit.core.vocab.golden_strings import COUNTS_KEY, IDS_KEY, TEXTS_KEY, disagreements, golden_keys

from .vocabs import bpe_metadata

TEXTS = ("the thing", "x <|im_end|>", "1234")


@pytest.fixture
def metadata() -> dict[str, Any]:
    plain = bpe_metadata(["t h", "th e"])
    vocab = read_vocab(plain)
    return plain | golden_keys(TEXTS, [vocab.encode(t, add_special=False, parse_special=True) for t in TEXTS])


def test_a_vocabulary_that_agrees_says_nothing(metadata: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    assert len(load_vocab(metadata).encode("the", add_special=False)) == 1
    assert metadata[COUNTS_KEY] == [6, 3, 4]
    assert not caplog.records


def test_one_that_does_not_is_loaded_with_a_warning(metadata: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    metadata["tokenizer.ggml.merges"] = ["t h"]
    assert len(load_vocab(metadata).encode("the", add_special=False)) == 2
    (record,) = caplog.records
    assert "'the thing' has the ids [" in record.getMessage()
    assert "convert it anew" in record.getMessage()


@pytest.mark.parametrize(
    "change, words",
    [
        ({COUNTS_KEY: [6, 3, 5]}, "do not fit together"),
        ({COUNTS_KEY: [7, 7]}, "do not fit together"),
        ({COUNTS_KEY: [14, 3, -4]}, "do not fit together"),
        ({COUNTS_KEY: [6, True, 4]}, "not lists of texts and numbers"),
        ({IDS_KEY: "abc"}, "not lists of texts and numbers"),
        ({TEXTS_KEY: [1, 2, 3]}, "not lists of texts and numbers"),
        ({TEXTS_KEY: ["x" * 5000, "", ""]}, "not looked at"),
        ({TEXTS_KEY: ["a"] * 40, COUNTS_KEY: [13] + [0] * 39}, "not looked at"),
    ],
)
def test_keys_that_make_no_sense_are_told_and_no_error(
    change: dict[str, Any], words: str, metadata: dict[str, Any]
) -> None:
    vocab = read_vocab(metadata)
    (message,) = disagreements(vocab, metadata | change)
    assert words in message
    assert load_vocab(metadata | change).n_tokens == vocab.n_tokens


def test_a_rule_that_gives_up_is_told_and_no_error(metadata: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    rules = {"llamakit.pre.regex": [r"(\w+\s?)*\x00"]}
    texts = {TEXTS_KEY: ["a" * 40 + " b" * 30], COUNTS_KEY: [1], IDS_KEY: [1]}
    assert load_vocab(metadata | rules | texts).n_tokens
    assert "convert it anew" in caplog.text
