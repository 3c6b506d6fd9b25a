"""A small vocabulary, and masks the slow way: every token tried."""

from __future__ import annotations

import numpy as np

from llamakit.core.grammar.matcher import Matcher


class Tokens:
    """Single bytes 0..255, then `texts`; control tokens have no bytes; the last token ends a text."""

    def __init__(self, *texts: str | bytes, control: tuple[str, ...] = ()) -> None:
        self.pieces = [bytes([b]) for b in range(256)]
        self.pieces += [t.encode() if isinstance(t, str) else t for t in texts]
        self.names = {name: len(self.pieces) + i for i, name in enumerate(control)}
        self.pieces += [b""] * (len(control) + 1)
        self.n_tokens = len(self.pieces)
        self.eos = self.n_tokens - 1
        self.eog_ids = frozenset([self.eos])

    def piece(self, token: int, *, special: bool = False) -> bytes:
        if special and not self.pieces[token]:
            return next((name.encode() for name, own in self.names.items() if own == token), b"")
        return self.pieces[token]

    def encode(self, text: str | bytes, *, add_special: bool = True, parse_special: bool = False) -> list[int]:
        if text in self.names:
            return [self.names[str(text)]]
        return list(text.encode() if isinstance(text, str) else text)

    def id(self, text: str | bytes) -> int:
        return self.pieces.index(text.encode() if isinstance(text, str) else text)


def mask_of(matcher: Matcher) -> list[int]:
    """The tokens that the mask allows."""
    words = np.full(matcher.trie.n_words, 0xDEADBEEF, np.uint32)
    matcher.fill_mask(words)
    bits = np.unpackbits(words.view(np.uint8), bitorder="little")
    return [int(i) for i in np.flatnonzero(bits)]


def tried(matcher: Matcher) -> list[int]:
    """The tokens that can be accepted, each tried."""
    return [t for t in range(matcher.trie.n_tokens) if matcher.allows(t)]
