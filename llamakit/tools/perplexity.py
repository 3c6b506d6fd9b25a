"""How well a model foresees a text: the negative log-likelihood of its second halves, window by window."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from llamakit.core.engine.context import Chunk as Tokens
from llamakit.core.engine.context import Outputs
from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.core.engine.context import Context
    from llamakit.core.vocab.base import Vocab

ROWS = 32  # logits turned into doubles at once


@dataclass(frozen=True, slots=True)
class Chunk:
    """One window of the text: `nll` of the tokens scored in it, natural log, in order.   (n_ctx - n_ctx // 2 - 1,)"""

    index: int
    n_chunks: int
    nll: npt.NDArray[np.float64]


@dataclass(slots=True)
class Score:
    """Sums over all chunks added so far."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, chunk: Chunk) -> None:
        self.n += len(chunk.nll)
        self.total += float(chunk.nll.sum())
        self.squares += float((chunk.nll**2).sum())

    @property
    def perplexity(self) -> float:
        return math.exp(self.total / self.n)

    @property
    def error(self) -> float:
        """Standard error of the perplexity."""
        mean = self.total / self.n
        return self.perplexity * math.sqrt(max(0.0, self.squares / self.n - mean * mean) / (self.n - 1))


def chunks(context: Context, vocab: Vocab, text: str, n_ctx: int, n_chunks: int | None = None) -> Iterator[Chunk]:
    """Score consecutive windows of n_ctx tokens, the first n_chunks or all, as llama-perplexity does.

    A window begins with BOS in place of its first token where the model wants one; the tokens of its second half are
    scored, each by the logits before it. Raises UsageError when the text has less than two windows.
    """
    tokens = vocab.encode(text)
    if len(tokens) < 2 * n_ctx:
        raise UsageError(f"the text has {len(tokens)} tokens; a context of {n_ctx} needs at least {2 * n_ctx}")
    n = min(len(tokens) // n_ctx, n_chunks or len(tokens))
    first = n_ctx // 2
    for i in range(n):
        window = tokens[i * n_ctx : (i + 1) * n_ctx]
        targets = np.asarray(window[first + 1 :])
        if vocab.add_bos and vocab.bos_id is not None:
            window[0] = vocab.bos_id
        context.truncate(0)
        context.decode([Tokens(window[:first], outputs=Outputs.NONE)])
        logits = context.decode([Tokens(window[first:-1], outputs=Outputs.ALL)])
        yield Chunk(i, n, nll(logits, targets))


def nll(logits: npt.NDArray[np.float32], targets: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """-log softmax(logits)[target], row by row.   logits: (n, n_vocab), targets: (n,) -> (n,)"""
    out = np.empty(len(targets))
    for start in range(0, len(targets), ROWS):
        rows = logits[start : start + ROWS].astype(np.float64)
        rows -= rows.max(axis=1, keepdims=True)
        chosen = rows[np.arange(len(rows)), targets[start : start + ROWS]]
        out[start : start + ROWS] = np.log(np.exp(rows).sum(axis=1)) - chosen
    return out
