"""What is computed, and how it is cut into what one run of a program takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from llamakit.errors import UsageError


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
    tokens: npt.NDArray[np.int64]
    outputs: list[int]


def wanted_rows(outputs: Outputs | range, n: int) -> range:
    if isinstance(outputs, range):
        if outputs.step != 1 or not 0 <= outputs.start <= outputs.stop <= n:
            raise UsageError(f"outputs {outputs} are no tokens side by side in a chunk of {n}")
        return outputs
    return {Outputs.NONE: range(0), Outputs.LAST: range(n - 1, n), Outputs.ALL: range(n)}[outputs]


def ubatches(chunks: list[tuple[int, npt.NDArray[np.int64], range]], n_ubatch: int) -> list[list[Part]]:
    """Chunks cut so that no batch has more than n_ubatch tokens."""
    batches: list[list[Part]] = [[]]
    room = n_ubatch
    for seq, tokens, wanted in chunks:
        start = 0
        while start < len(tokens):
            if room == 0:
                batches.append([])
                room = n_ubatch
            end = min(len(tokens), start + room)
            rows = [row - start for row in range(max(start, wanted.start), min(end, wanted.stop))]
            batches[-1].append(Part(seq, tokens[start:end], rows))
            room -= end - start
            start = end
    return batches
