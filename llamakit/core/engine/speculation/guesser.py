"""Who guesses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Want:
    """Up to n tokens that may follow `tokens`, and `last` behind them, in a sequence."""

    seq: int
    tokens: list[int]
    last: int
    n: int


class Guesser(Protocol):
    """Guesses for all sequences of a scheduler; one thread calls it."""

    n_most: int  # tokens at once

    def guess(self, wants: Sequence[Want]) -> list[list[int]]:
        """For each of them some tokens, or none where there is no idea."""

    def forget(self, seq: int) -> None:
        """The sequence begins anew, with another text."""
