"""Log-probabilities of whole vocabularies in 16 bits each, as llama.cpp keeps those of a base model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llamakit.core.kernels.logprob import HEADER

SLACK = 32  # words behind the last row that a kernel may read


def n_words(n_vocab: int) -> int:
    """16-bit words of a row: two floats, a number a token, and one more where that is odd."""
    return HEADER + n_vocab + n_vocab % 2


@dataclass(frozen=True)
class PackedRows:
    """`rows[i]`: scale and least as float32, then q of each token: ln p = scale * q + least.   uint16 (n, n_words)"""

    n_vocab: int
    rows: npt.NDArray[np.uint16]

    @classmethod
    def empty(cls, n: int, n_vocab: int) -> PackedRows:
        """Room for n rows of zeros; the memory ends behind them, as kernels need it."""
        shape = n, n_words(n_vocab)
        return cls(n_vocab, np.zeros(math.prod(shape) + SLACK, np.uint16)[:-SLACK].reshape(shape))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> PackedRows:
        """Some of the rows, side by side; a view."""
        return PackedRows(self.n_vocab, self.rows[part])

    @property
    def header(self) -> npt.NDArray[np.float32]:
        """Scale and least of each row.   float32 (n, 2)"""
        return self.rows[:, :HEADER].view(np.float32)

    def logprobs(self, tokens: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
        """ln p of one token in each row.   (n,) -> (n,)"""
        q = self.rows[np.arange(len(self)), HEADER + np.asarray(tokens)]
        scale, least = self.header.astype(np.float64).T
        found: npt.NDArray[np.float64] = scale * q + least
        return found
