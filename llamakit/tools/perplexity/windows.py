"""A text cut into windows of tokens, and which of a window's tokens are scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llamakit.core.engine.context import Chunk
from llamakit.errors import UsageError

Ints = npt.NDArray[np.int32]

SHORTEST = 3  # tokens of a window in which one can be scored
PADDING = 256  # llama.cpp rounds the length of a strided window up to a multiple


@dataclass(frozen=True)
class Windows:
    """Pieces of a text, each to be computed from an empty context.

    Logits are wanted after the tokens `first` to n_ctx - 2 of a window; each scores the token behind it. `bos_id`, if
    not None, is computed in place of a window's first token.
    """

    tokens: Ints  # (n, n_ctx)
    first: int
    bos_id: int | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def n_ctx(self) -> int:
        return int(self.tokens.shape[1])

    @property
    def n_scored(self) -> int:
        """Tokens scored in each window."""
        return self.n_ctx - 1 - self.first

    def batches(self, n_seq: int) -> Iterator[range]:
        """All windows in order, n_seq at a time: what one decode takes."""
        return (range(i, min(i + n_seq, len(self))) for i in range(0, len(self), n_seq))

    def chunks(self, batch: range) -> list[Chunk]:
        """What a context computes for some windows, each in a sequence of its own; the last token is not asked for."""
        inputs = self.tokens[batch.start : batch.stop, :-1].copy()
        if self.bos_id is not None:
            inputs[:, 0] = self.bos_id
        return [Chunk(tokens, seq, range(self.first, self.n_ctx - 1)) for seq, tokens in enumerate(inputs)]

    def targets(self, batch: range) -> Ints:
        """The scored tokens of these windows, one after the other."""
        return self.tokens[batch.start : batch.stop, self.first + 1 :].reshape(-1)


def cut(tokens: Sequence[int], n_ctx: int, n_chunks: int | None = None, bos_id: int | None = None) -> Windows:
    """Window after window of n_ctx tokens, the first n_chunks or all; the second half of each is scored.

    As llama-perplexity does. Raises UsageError when the text has less than two windows.
    """
    check_length(len(tokens), n_ctx)
    n = wanted_chunks(n_chunks, len(tokens) // n_ctx)
    return Windows(np.array(tokens[: n * n_ctx], np.int32).reshape(n, n_ctx), n_ctx // 2, bos_id)


def cut_strided(tokens: Sequence[int], n_ctx: int, stride: int, n_chunks: int | None = None) -> Windows:
    """Windows that begin `stride` tokens after one another, the last `stride` tokens of each scored; without BOS.

    As llama-perplexity does with --ppl-stride. Raises UsageError for a stride that leaves no context, and as `cut`.
    """
    if not 0 < stride < n_ctx:
        raise UsageError(f"a stride of {stride} needs a longer context than {n_ctx}: something before what is scored")
    check_length(len(tokens), n_ctx)
    n = wanted_chunks(n_chunks, -(-(len(tokens) - n_ctx) // stride))
    starts = stride * np.arange(n)[:, None]
    inputs: Ints = np.array(tokens, np.int32)[starts + np.arange(n_ctx)]
    return Windows(inputs, n_ctx - stride - 1)


def strided_length(n_ctx: int, stride: int) -> int:
    """The length of llama-perplexity's windows with -c n_ctx --ppl-stride stride, where -b is not above -c."""
    return -(-(n_ctx + stride // 2) // PADDING) * PADDING


def check_length(n_tokens: int, n_ctx: int) -> None:
    if n_ctx < SHORTEST:
        raise UsageError(f"a context of {n_ctx} has no room to score a token; use at least {SHORTEST} (-c)")
    if n_tokens < 2 * n_ctx:
        raise UsageError(
            f"you need at least {2 * n_ctx} tokens to evaluate perplexity with a context of {n_ctx}, and the text has "
            f"{n_tokens}; give a longer text or a smaller context (-c)"
        )


def wanted_chunks(wanted: int | None, most: int) -> int:
    """The number asked for, at most what there is; None or below 1 means all."""
    return most if wanted is None or wanted < 1 else min(wanted, most)
