"""What is computed, and how it is cut into what one run of a program takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

import numpy as np

from llamakit.errors import UsageError

Ids: TypeAlias = Any  # npt.NDArray[np.int64], or a sequence of one token, which takes less time


class Outputs(Enum):
    """Which tokens of a chunk give logits."""

    NONE = 0
    LAST = 1
    ALL = 2


@dataclass(frozen=True)
class Chunk:
    """Tokens to add to one sequence. `outputs` may also be the range of those that give logits."""

    tokens: Sequence[int]
    seq: int = 0
    outputs: Outputs | range = Outputs.LAST


@dataclass(frozen=True)
class Part:
    """What one sequence has in a ubatch; `outputs` are rows of `tokens`."""

    seq: int
    tokens: Ids
    outputs: range


def wanted_rows(outputs: Outputs | range, n: int) -> range:
    if isinstance(outputs, range):
        if outputs.step != 1 or not 0 <= outputs.start <= outputs.stop <= n:
            raise UsageError(f"outputs {outputs} are no tokens side by side in a chunk of {n}")
        return outputs
    if outputs is Outputs.NONE:
        return range(0)
    return range(n - 1, n) if outputs is Outputs.LAST else range(n)


def checked(chunk: Chunk, n_vocab: int) -> Ids:
    """The tokens of a chunk. UsageError unless there are some, and all are tokens."""
    if len(chunk.tokens) == 1:
        ids: Ids = chunk.tokens
        least = most = ids[0]
    elif len(chunk.tokens) == 0:
        raise UsageError(f"sequence {chunk.seq}: no tokens to compute")
    else:
        ids = np.asarray(chunk.tokens, np.int64)
        least, most = ids.min(), ids.max()
    if least < 0 or most >= n_vocab:
        wrong = next(token for token in ids if not 0 <= token < n_vocab)
        raise UsageError(f"token {wrong} is not in the vocabulary of {n_vocab} tokens")
    return ids


def ubatches(chunks: list[tuple[int, Ids, range]], n_ubatch: int) -> list[list[Part]]:
    """Chunks cut so that no batch has more than n_ubatch tokens."""
    if sum(len(ids) for _, ids, _ in chunks) <= n_ubatch:
        return [[Part(seq, ids, wanted) for seq, ids, wanted in chunks]]
    batches: list[list[Part]] = [[]]
    room = n_ubatch
    for seq, tokens, wanted in chunks:
        start = 0
        while start < len(tokens):
            if room == 0:
                batches.append([])
                room = n_ubatch
            end = min(len(tokens), start + room)
            rows = range(max(start, wanted.start) - start, min(end, wanted.stop) - start)
            batches[-1].append(Part(seq, tokens[start:end], rows))
            room -= end - start
            start = end
    return batches
