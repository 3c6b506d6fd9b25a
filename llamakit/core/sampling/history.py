"""The last tokens, as the penalties need them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class History:
    """The last `size` accepted tokens (0: none), and how often each token is among them.

    recent: (size,) int32, n[0] of them in use, in no particular order; counts: (n_vocab,) int32; n: (1,) int64. The
    kernel of the penalties reads these three in place.
    """

    def __init__(self, size: int, n_vocab: int) -> None:
        self.recent = np.zeros(size, np.int32)
        self.counts = np.zeros(n_vocab, np.int32)
        self.n = np.zeros(1, np.int64)
        self.oldest = 0

    def extend(self, tokens: Sequence[int]) -> None:
        size = len(self.recent)
        if size == 0:
            return
        for token in tokens[-size:]:
            if self.n[0] == size:
                self.counts[self.recent[self.oldest]] -= 1
            else:
                self.n[0] += 1
            self.recent[self.oldest] = token
            self.counts[token] += 1
            self.oldest = (self.oldest + 1) % size

    def clear(self) -> None:
        self.counts[:] = 0
        self.n[0] = self.oldest = 0

    def tokens(self) -> list[int]:
        """The tokens, oldest first."""
        n, first = int(self.n[0]), self.oldest if self.n[0] == len(self.recent) else 0
        return [int(t) for t in np.roll(self.recent[:n], -first)]
