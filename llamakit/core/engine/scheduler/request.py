"""What one client wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llamakit.core.sampling.chain import Sampler


@dataclass(frozen=True, slots=True)
class Request:
    """Tokens to continue, and how. The sampler, with its seed and its constraint, serves this request alone."""

    tokens: Sequence[int]
    sampler: Sampler
    n_predict: int = -1  # negative: any number
    stop: tuple[str, ...] = ()  # texts that end it
    # positions that a context shift leaves in front; with None, or where none is possible, a full context ends the text
    n_keep: int | None = None
    n_logprobs: int | None = None  # pieces are ScoredPieces, with so many of the likeliest tokens
    show_special: bool = False
    use_cache: bool = True  # may begin with cells that an earlier request has left
