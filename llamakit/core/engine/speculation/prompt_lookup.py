"""Guesses from the text itself: what followed the last few tokens when they stood there before.

Summaries, corrections and code repeat much of their prompt (https://github.com/apoorvumang/prompt-lookup-decoding).
"""

from __future__ import annotations

from collections.abc import Sequence

from llamakit.core.engine.speculation.guesser import Want

SIZES = (3, 2)  # tokens that must have stood there before, the longest first


class Index:
    """Where each run of SIZES tokens of a text last ended, but for its end."""

    def __init__(self) -> None:
        self.n_seen = 0
        self.ends: list[dict[tuple[int, ...], int]] = [{} for _ in SIZES]

    def read(self, tokens: list[int]) -> None:
        """The text as it is now: longer than before."""
        for size, ends in zip(SIZES, self.ends, strict=True):
            for end in range(max(self.n_seen, size), len(tokens)):
                ends[tuple(tokens[end - size : end])] = end
        self.n_seen = max(self.n_seen, len(tokens))

    def find(self, tokens: list[int]) -> int | None:
        """Where what follows the text's last tokens may be read."""
        for size, ends in zip(SIZES, self.ends, strict=True):
            if end := ends.get(tuple(tokens[-size:])):
                return end
        return None


class PromptLookup:
    """Guesses up to n_most tokens; needs no other model, and next to no time."""

    def __init__(self, n_most: int = 8) -> None:
        self.n_most = n_most
        self.indices: dict[int, Index] = {}  # by sequence

    def guess(self, wants: Sequence[Want]) -> list[list[int]]:
        return [self.guess_one(want) for want in wants]

    def guess_one(self, want: Want) -> list[int]:
        index = self.indices.setdefault(want.seq, Index())
        if len(want.tokens) < index.n_seen - 1:  # a shift has taken tokens out
            index = self.indices[want.seq] = Index()
        text = [*want.tokens, want.last]
        index.read(text)
        end = index.find(text)
        return [] if end is None else text[end : end + want.n]

    def forget(self, seq: int) -> None:
        self.indices.pop(seq, None)
