"""What a job tells whoever waits for it: pieces (see `generate.py`), and then one of three ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from llamakit.core.engine.generate import Finish, Piece


@dataclass(frozen=True, slots=True)
class ScoredPiece(Piece):
    """A piece whose request asked for log-probabilities: the token's, and the likeliest tokens with theirs, in order.

    They are those of the plain softmax of the logits, before any sampling stage.
    """

    logprob: float
    likeliest: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """All is said. `text` is what the last token left unfinished, as `TextStream.flush` gives it."""

    finish: Finish
    text: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    error: Exception


@dataclass(frozen=True, slots=True)
class Cancelled:
    """By its owner, or because the scheduler was closed."""


End: TypeAlias = Ended | Failed | Cancelled
Event: TypeAlias = Piece | End
