"""What a job tells whoever waits for it: pieces (see `generate.py`) or a vector, and then one of three ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from llamakit.core.engine.generate import Finish, Piece

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Likeliest: TypeAlias = tuple[tuple[int, float], ...]  # tokens and their log-probabilities, in order


@dataclass(frozen=True, slots=True)
class ScoredPiece(Piece):
    """A piece whose request asked for log-probabilities: the token's, and the likeliest tokens with theirs, in order.

    They are those of the plain softmax of the logits, before any sampling stage, unless the request says otherwise.
    """

    logprob: float
    likeliest: Likeliest


@dataclass(frozen=True, slots=True)
class Score:
    """How likely the model finds a token of the prompt; as of a ScoredPiece."""

    token: int
    logprob: float
    likeliest: Likeliest


@dataclass(frozen=True, slots=True)
class PromptScores:
    """Of each token of the prompt but the first. Told before the first piece."""

    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class Prefilled:
    """So many tokens of the prompt are in the cache."""

    n_done: int


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """float32 (width,), or (n_tokens, width) without pooling."""

    vector: npt.NDArray[np.float32]


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
Event: TypeAlias = Piece | PromptScores | Prefilled | Embedded | End
