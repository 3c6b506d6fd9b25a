"""What the web process and the engine's tell each other: plain data, few and small."""

from __future__ import annotations

import copyreg
from dataclasses import dataclass
from typing import Any, TypeAlias

from llamakit.core.engine.generate import Piece
from llamakit.core.engine.scheduler import Event, Usage
from llamakit.core.engine.scheduler.stats import Stats
from llamakit.server.engine.generation import Generation


def parts_of_piece(piece: Piece) -> tuple[type[Piece], tuple[int, str]]:
    return Piece, (piece.token, piece.text)


copyreg.pickle(Piece, parts_of_piece)  # a piece for each token: what pickle does by itself takes three times as long


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What an engine serves, and how much of it at once."""

    path: str
    arch: str
    description: str  # "llama 135M Q4_1"
    file_type: str
    n_vocab: int
    n_embd: int
    n_ctx_train: int
    n_params: int
    n_bytes: int
    n_ctx: int  # most tokens of a prompt and what follows it
    n_batch: int
    n_ubatch: int
    n_slots: int
    can_shift: bool
    pooling: str = "none"  # of embeddings
    adapters: tuple[tuple[str, float], ...] = ()  # LoRA files and the scales they began with
    n_prompt_max: int | None = None  # most tokens of a prompt; None: the context
    is_divided: bool = False  # n_ctx is a request's share of the context


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Of the engine since it was started."""

    scheduler: Stats
    n_tokens_held: int  # in the cache, by the requests that run
    seconds_stuck: float  # how long the present step lasts; 0 while there is nothing to do
    at: float  # `time.monotonic`


# to the engine
@dataclass(frozen=True, slots=True)
class Submit:
    """Generate a continuation for each id, all of the same prompt."""

    ids: tuple[int, ...]
    generation: Generation


@dataclass(frozen=True, slots=True)
class Cancel:
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """So many more events of a stream were read: as many may be sent."""

    id: int
    n: int


@dataclass(frozen=True, slots=True)
class Call:
    """Ask for something else than tokens: a method of `errands.Errands`."""

    number: int
    name: str
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The answer to a Call is no longer wanted."""

    number: int


# from the engine
@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded."""

    info: ModelInfo


@dataclass(frozen=True, slots=True)
class NotLoaded:
    """The model cannot be loaded, and why; the engine ends."""

    reason: str


@dataclass(slots=True)
class Told:
    """Events of a step by the ids of their streams, the usage of those that begin or end, and now and then figures."""

    events: list[tuple[int, Event]]
    usages: list[tuple[int, Usage]]
    stats: EngineStats | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """To a Call; an error in place of the value where it went wrong."""

    number: int
    value: Any = None
    error: Exception | None = None


ToEngine: TypeAlias = Submit | Cancel | Read | Call | GiveUp
FromEngine: TypeAlias = Ready | NotLoaded | Told | Reply
