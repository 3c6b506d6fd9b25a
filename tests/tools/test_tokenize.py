"""Tokens of a text by the vocabulary in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamakit.core.gguf.writer import GGUFWriter
from llamakit.errors import VocabError
from llamakit.tools.tokenize import Token, as_json, open_vocab, tokenize
from tests.core.vocab.vocabs import bpe_metadata, spm_metadata, write_vocab


def test_tokens_have_ids_and_pieces(tmp_path: Path) -> None:
    vocab = open_vocab(write_vocab(tmp_path / "v.gguf", spm_metadata([("▁a", 0.0)])))
    assert tokenize(vocab, "a</s>") == [Token(1, b"<s>", True), Token(260, b" a", False), Token(2, b"</s>", True)]
    assert [token.id for token in tokenize(vocab, "a", add_special=False)] == [260]
    assert len(tokenize(vocab, "</s>", parse_special=False)) > 2


def test_nothing_is_added_where_the_model_wants_no_bos(tmp_path: Path) -> None:
    metadata = bpe_metadata(add_bos_token=False, add_eos_token=True)
    vocab = open_vocab(write_vocab(tmp_path / "v.gguf", metadata))
    assert [token.piece for token in tokenize(vocab, "a")] == [b"a"]


def test_json_tells_pieces_as_texts_or_as_bytes(tmp_path: Path) -> None:
    vocab = open_vocab(write_vocab(tmp_path / "v.gguf", bpe_metadata()))
    assert as_json(tokenize(vocab, "é<|im_end|>"), vocab) == {
        "vocab": {"kind": "gpt2", "n_tokens": 259},
        "n_tokens": 3,
        "tokens": [
            {"id": vocab.ids["Ã"], "piece": [0xC3], "control": False},
            {"id": vocab.ids["©"], "piece": [0xA9], "control": False},
            {"id": 2, "piece": "<|im_end|>", "control": True},
        ],
    }


def test_a_file_without_vocabulary_is_an_error(tmp_path: Path) -> None:
    with GGUFWriter(tmp_path / "v.gguf") as writer:
        writer.add("general.architecture", "llama")
    with pytest.raises(VocabError, match="takes token ids, not text"):
        tokenize(open_vocab(tmp_path / "v.gguf"), "a")
