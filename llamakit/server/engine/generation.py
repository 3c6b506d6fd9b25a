"""What a request wants generated, whichever API it came by: plain data, for another process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llamakit.core.sampling.params import SamplingParams

if TYPE_CHECKING:
    from llamakit.core.chat.output.constraint import Constraint

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Budget:
    """How long the model may think; see `core.sampling.reasoning_budget`."""

    starts: tuple[Tokens, ...]
    ends: tuple[Tokens, ...]
    forced_end: Tokens
    n_tokens: int = -1  # below 0: any number
    is_open: bool = False  # the prompt has begun the thoughts


@dataclass(frozen=True, slots=True)
class Generation:
    """Tokens to continue, and how."""

    tokens: Tokens
    sampling: SamplingParams = field(default_factory=SamplingParams)
    constraint: Constraint | None = None  # the grammar's rules; compiled where the model is
    constraint_sleeps: bool = False  # while the model thinks, as `budget` says
    budget: Budget | None = None

    n_predict: int = -1  # negative: any number
    stop: tuple[str, ...] = ()  # texts that end it
    stops_at_ends: bool = False  # one counts only where the text of a token ends with it
    t_max_predict: float = 0.0  # seconds after which a line that ends is the last; 0: no limit
    n_indent: int = 0  # ends with the first line that is indented less; 0: no matter
    n_keep: int | None = None  # positions that a context shift leaves in front; None: a full context ends the text
    n_discard: int = 0  # positions that a shift drops; 0: half
    n_ctx: int | None = None  # positions that it may take; None: all of the context

    n_logprobs: int | None = None  # pieces are ScoredPieces, with so many of the likeliest tokens
    post_sampling_probs: bool = False  # of the candidates that were drawn from, rather than of the plain softmax
    n_prompt_logprobs: int | None = None  # PromptScores come before the pieces
    tells_progress: bool = False  # Prefilled comes after each part of the prompt
    show_special: bool = False

    use_cache: bool = True  # may begin with cells that an earlier request has left
    salt: str = ""  # only requests with the same one share cells
    slot: int | None = None  # the sequence that serves it
    adapters: tuple[tuple[int, float], ...] | None = None  # the server's, by index; None: as they are set
    speculate: bool = True  # tokens may be guessed, where the server does: they are the same
    n_draft_max: int | None = None  # most tokens guessed at once; None: as many as pay
    n_draft_min: int = 0  # guesses of fewer tokens are not computed
