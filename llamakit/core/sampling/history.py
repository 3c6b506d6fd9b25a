"""The tokens accepted so far, as the penalties and DRY need them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llamakit.core.kernels.candidates import Recent
from llamakit.errors import UsageError

LEAST_ROOM = 64
MANY = 16  # so many tokens are counted together


class History:
    """The last `size` accepted tokens, and how often each is among the last `window` of them; -1: all, 0: none.

    `recent` is what kernels read: the tokens, oldest first. counts: (n_vocab,) int32
    """

    def __init__(self, size: int, window: int, n_vocab: int) -> None:
        self.size, self.window = size, window
        self.counts = np.zeros(n_vocab, np.int32)
        self.recent = Recent(tokens=None, n=0, notes=None)
        self.n = 0
        self.tokens = np.zeros(0, np.int32)
        self.make_room(2 * max(size, 0) + LEAST_ROOM)

    def make_room(self, room: int) -> None:
        """New arrays for so many tokens, with those of before."""
        tokens, self.notes = np.zeros(room, np.int32), np.zeros(room, np.int32)
        tokens[: self.n] = self.tokens[: self.n]
        self.tokens = tokens
        self.recent.data["tokens"], self.recent.data["notes"] = tokens.ctypes.data, self.notes.ctypes.data
        self.recent.values = {"tokens": tokens, "notes": self.notes}  # keeps them alive

    def extend(self, tokens: Sequence[int]) -> None:
        if self.size == 0:
            return
        if len(tokens) > MANY:
            new = np.asarray(tokens[-self.size :] if self.size > 0 else tokens, np.int32)
            self.check(new.min(), new.max())
            self.reserve(len(new))
            self.tokens[self.n : self.n + len(new)] = new
            self.n += len(new)
            self.counts[:] = 0
            np.add.at(self.counts, self.tokens[self.first_counted() : self.n], 1)
        else:
            for token in tokens:
                self.push(token)
        self.recent.data["n"] = self.n

    def check(self, *tokens: int) -> None:
        """Kernels look them up: they must be there."""
        for token in tokens:
            if not 0 <= token < len(self.counts):
                raise UsageError(f"there is no token {token}, the last one is {len(self.counts) - 1}")

    def push(self, token: int) -> None:
        self.check(token)
        if 0 < self.window <= self.n:
            self.counts[self.tokens[self.n - self.window]] -= 1
        self.reserve(1)
        self.tokens[self.n] = token
        self.n += 1
        if self.window != 0:
            self.counts[token] += 1

    def reserve(self, n: int) -> None:
        """Make room for n tokens more: what is too old is forgotten."""
        if self.n + n <= len(self.tokens):
            return
        if self.size < 0:
            self.make_room(2 * (self.n + n))
        else:
            kept = min(self.n, self.size)
            self.tokens[:kept] = self.tokens[self.n - kept : self.n].copy()
            self.n = kept

    def last(self) -> np.ndarray:
        """The tokens that are remembered, oldest first.   (n,) int32"""
        return self.tokens[max(0, self.n - self.size) if self.size >= 0 else 0 : self.n]

    def first_counted(self) -> int:
        """Where the window begins."""
        return max(0, self.n - self.window) if self.window >= 0 else 0

    def clear(self) -> None:
        self.counts[:] = 0
        self.n = 0
        self.recent.data["n"] = 0
