"""Kinds without a language: no vocabulary at all, and llama.cpp's for tests."""

from __future__ import annotations

from llamakit.core.vocab.text import as_bytes
from llamakit.core.vocab.tokens import TokenTable, TokenType
from llamakit.errors import VocabError

_CHUNK = 5  # bytes


class NoText:
    """`tokenizer.ggml.model` = none: tokens are numbers."""

    def encode(self, text: str) -> list[int]:
        raise VocabError("this model has no vocabulary: it takes token ids, not text")

    def decode(self, text: str) -> bytes:
        return b""


def empty_tokens(n_vocab: int) -> TokenTable:
    """As many tokens without a text."""
    types = bytearray([TokenType.UNUSED]) * n_vocab
    return TokenTable(texts=[""] * n_vocab, types=types, scores=[0.0] * n_vocab, ids={}, is_utf8=True)


class Hashes:
    """`tokenizer.ggml.model` = test: a token for five bytes, by their hash. A token shows its number."""

    def __init__(self, n_vocab: int) -> None:
        self._n_vocab = n_vocab

    def encode(self, text: str) -> list[int]:
        raw = as_bytes(text)
        return [self._hash(raw[i : i + _CHUNK]) for i in range(0, len(raw), _CHUNK)]

    def decode(self, text: str) -> bytes:
        return text.encode()

    def _hash(self, chunk: bytes) -> int:
        value = 0
        for byte in chunk:
            value = value * 31 + byte
        return value % self._n_vocab
