"""Ids to text, one token at a time, without cutting a UTF-8 character."""

from __future__ import annotations

import codecs
from typing import Protocol


class Pieces(Protocol):
    """The one thing a stream asks of a vocabulary."""

    def piece(self, token: int, *, special: bool = False) -> bytes: ...


class TextStream:
    """Text of a growing token sequence. What `push` and `flush` return joins to the decoded bytes of all pieces,
    bytes that are not UTF-8 as U+FFFD; a character is held back until its last byte is there."""

    def __init__(self, vocab: Pieces, *, special: bool = False) -> None:
        self._vocab, self._special = vocab, special
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        """The text that this token completes; empty while a character is unfinished."""
        return self._decoder.decode(self._vocab.piece(token, special=self._special))

    def flush(self) -> str:
        """The end of the text: U+FFFD for a character that never got its last byte. The stream can be used anew."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return rest
