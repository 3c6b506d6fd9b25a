"""What one client wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llamakit.core.engine.pooling import Pooling
    from llamakit.core.sampling.chain import Sampler

EUCLID = 2  # the kind of norm that `pooling.normalized` takes
Scales = tuple[tuple[str, float], ...]  # names of adapters, each with its scale


@dataclass(frozen=True, slots=True)
class Request:
    """Tokens to continue, and how. The sampler, with its seed and its constraint, serves this request alone."""

    tokens: Sequence[int]
    sampler: Sampler
    n_predict: int = -1  # negative: any number
    stop: tuple[str, ...] = ()  # texts that end it
    stops_at_ends: bool = False  # one counts only where the text of a token ends with it
    # positions that a context shift leaves in front; with None, or where none is possible, a full context ends the text
    n_keep: int | None = None
    n_logprobs: int | None = None  # pieces are ScoredPieces, with so many of the likeliest tokens
    show_special: bool = False
    use_cache: bool = True  # may begin with cells that an earlier request has left
    n_prompt_logprobs: int | None = None  # PromptScores are told, with so many of the likeliest tokens
    scores_after_sampling: bool = False  # ScoredPieces say what the token was drawn from, not what the model gave
    tells_progress: bool = False  # Prefilled is told after each part of the prompt
    salt: str = ""  # only requests of the same salt share what is in the cache
    adapters: Scales | None = None  # None: those of the scheduler
    slot: int | None = None  # waits for this one
    n_discard: int = 0  # positions that a context shift takes out; 0: half of what it does not keep
    n_ctx: int | None = None  # positions that it may take; None: all of the context
    t_max_predict: float = 0.0  # seconds since the first token after which it ends, once a line has; 0: any time
    n_indent: int = 0  # it ends where a new line has less space in front
    tells_at_end: bool = False  # nothing is told before the end: for readers who would only wait on
    speculate: bool = True  # tokens may be guessed, where the scheduler guesses: they are the same
    n_draft_max: int | None = None  # most tokens guessed at once; None: as many as pay
    n_draft_min: int = 0  # guesses of fewer tokens are not computed
    tag: int | None = None  # what its client calls it, for SlotInfo


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Tokens to make a vector of, or a score: see `pooling.py`."""

    tokens: Sequence[int]
    pooling: Pooling | None = None  # None: what the file says
    norm: int = EUCLID
    adapters: Scales | None = None
    slot: int | None = None
