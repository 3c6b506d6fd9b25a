"""Kinds of BPE that treat some texts in a way of their own: DNA sequences, and words without white space."""

from __future__ import annotations

import re

from llamakit.core.vocab.bpe import BPE
from llamakit.core.vocab.text import BAD_BYTE
from llamakit.core.vocab.tokens import TokenTable
from llamakit.core.vocab.wpm import is_white_space, lower_case

_OPEN, _CLOSE, _OTHER = "<dna>", "</dna>", "<oov>"
_MARKER = "\ue000"  # ends the texts of DNA tokens, so that CCCCCC of a text is another token
_LENGTH = 6  # bases of a DNA token
_SEQUENCE = re.compile(f"{_OPEN}(.*?)({_CLOSE}|\\Z)", re.DOTALL)


class DNA:
    """BPE, but for what stands between <dna> and </dna> (`tokenizer.ggml.model` = hybriddna): six bases are a token."""

    def __init__(self, bpe: BPE, ids: dict[str, int]) -> None:
        self._bpe, self._ids = bpe, ids
        self._has_dna = {_OPEN, _CLOSE, _OTHER} <= ids.keys()

    def encode(self, text: str) -> list[int]:
        """Ids of a text without special tokens."""
        if not self._has_dna:
            return self._bpe.encode(text)
        ids: list[int] = []
        done = 0
        for sequence in _SEQUENCE.finditer(text):
            if sequence.start() > done:
                ids += self._bpe.encode(text[done : sequence.start()])
            ids.append(self._ids[_OPEN])
            ids += self._bases(sequence[1])
            ids += [self._ids[_CLOSE]] if sequence[2] else []
            done = sequence.end()
        return ids + self._bpe.encode(text[done:])

    def decode(self, text: str) -> bytes:
        """The bytes of a normal token's text."""
        return self._bpe.decode(text)

    def _bases(self, sequence: str) -> list[int]:
        raw = sequence.encode("utf-8", "surrogateescape").upper().decode("latin-1")  # cut by bytes, as in llama.cpp
        parts = [raw[i : i + _LENGTH].ljust(_LENGTH, "A") for i in range(0, len(raw), _LENGTH)]
        return [self._ids.get(part + _MARKER, self._ids[_OTHER]) for part in parts]


def without_markers(tokens: TokenTable) -> list[str]:
    """What tokens show: DNA tokens, all of which come after <oov>, without the mark that sets them apart."""
    first = tokens.ids.get(_OTHER, len(tokens.texts)) + 1
    return [text.removesuffix(_MARKER) if i >= first else text for i, text in enumerate(tokens.texts)]


class Words:
    """BPE of the words of a text (`tokenizer.ggml.model` = whitespace); the white space between them is lost."""

    def __init__(self, bpe: BPE, *, lowercase: bool) -> None:
        self._bpe, self._lowercase = bpe, lowercase

    def encode(self, text: str) -> list[int]:
        """Ids of a text without special tokens."""
        text = BAD_BYTE.sub("\ufffd", text)
        table = {ord(c): " " if is_white_space(c) else lower_case(c) if self._lowercase else c for c in set(text)}
        return [token for word in text.translate(table).split(" ") if word for token in self._bpe.encode(word)]

    def decode(self, text: str) -> bytes:
        """The bytes of a normal token's text."""
        return self._bpe.decode(text)
