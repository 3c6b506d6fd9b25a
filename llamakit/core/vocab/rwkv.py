"""RWKV's tokenizer: the longest known bytes at each place. Token texts are escaped byte strings."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cached_property

from llamakit.core.vocab.text import as_bytes, as_text
from llamakit.core.vocab.tokens import TokenTable, TokenType
from llamakit.core.vocab.trie import Trie

_ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|.)", re.DOTALL)
_ESCAPED = {b"t": b"\t", b"n": b"\n", b"r": b"\r"}


def unescaped(tokens: TokenTable) -> TokenTable:
    r"""The table with the bytes that the texts stand for: \t, \n, \r, \xHH, and a backslash before anything else."""
    texts = [as_text(_ESCAPE.sub(_byte, as_bytes(text))) if "\\" in text else text for text in tokens.texts]
    return replace(tokens, texts=texts, ids=dict(zip(texts, range(len(texts)), strict=True)), is_utf8=False)


def _byte(escape: re.Match[bytes]) -> bytes:
    code = escape[1]
    return bytes([int(code[1:], 16)]) if len(code) == 3 else _ESCAPED.get(code, code)


class RWKV:
    """Token ids of text fragments, and the bytes of normal tokens, over an unescaped table."""

    def __init__(self, tokens: TokenTable, *, unk: int | None) -> None:
        self._tokens, self._unk = tokens, 0 if unk is None else unk

    def encode(self, text: str) -> list[int]:
        """Ids of a text without special tokens. A byte that starts no token becomes the unknown token."""
        raw, start = as_bytes(text), 0
        ids: list[int] = []
        while start < len(raw):
            matches = self._trie.matches(raw, start)
            start, token = matches[-1] if matches else (start + 1, self._unk)
            ids.append(token)
        return ids

    def decode(self, text: str) -> bytes:
        """The bytes of a normal token's text."""
        return as_bytes(text)

    @cached_property
    def _trie(self) -> Trie:
        """All tokens but control ones, so that no text can forge these."""
        texts, types = self._tokens.texts, self._tokens.types
        return Trie((as_bytes(texts[i]), i) for i in self._tokens.ids.values() if types[i] != TokenType.CONTROL)
