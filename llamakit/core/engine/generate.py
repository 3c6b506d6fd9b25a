"""The token loop: a prompt in, pieces of text out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from llamakit.core.engine.timings import Timings
from llamakit.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from llamakit.core.engine.context import Context
    from llamakit.core.sampling.chain import Sampler
    from llamakit.core.vocab.base import Vocab
    from llamakit.core.vocab.stream import TextStream

    Floats = npt.NDArray[np.float32]


class Finish(Enum):
    END_OF_TEXT = "the model ended the text"
    LENGTH = "n_predict tokens were made"
    CONTEXT_FULL = "the context is full"
    STOP_TEXT = "a stop text was found"  # said by whoever reads the pieces
    TIME_UP = "the time for it is over"
    INDENTED_LESS = "a line has less space in front than it must have"


@dataclass(frozen=True, slots=True)
class Piece:
    """A token and the text that it completes: none while a character is unfinished."""

    token: int
    text: str


@dataclass(frozen=True, slots=True)
class SelfExtend:
    """A longer context than a model was trained for: each window of `width` tokens is squeezed by `n` once it is full
    (arXiv:2401.01325, as llama.cpp's -gan and -gaw)."""

    n: int
    width: int = 512

    def __post_init__(self) -> None:
        if self.n < 1 or self.width < 1 or self.width % self.n:
            raise UsageError(f"self-extend: a width of {self.width} must be a multiple of {self.n}, and both positive")


@dataclass(slots=True)
class Session:
    """What one sequence is continued with; `timings` and `finish` tell what happened.

    `tokens` are those in the cache, position by position, `pending` those that come next: the end of a prompt, the
    token drawn last. Both stay true whenever a generation ends or is cancelled, so that another one can go on.
    """

    context: Context
    vocab: Vocab
    sampler: Sampler
    text: TextStream
    seq: int = 0
    # positions that a context shift leaves in front; with None, or where none is possible, a full context ends the text
    n_keep: int | None = None
    n_discard: int = 0  # positions that it takes out; 0: half of the others
    extend: SelfExtend | None = None
    timings: Timings = field(default_factory=Timings)
    finish: Finish | None = None
    tokens: list[int] = field(default_factory=list)
    pending: list[int] = field(default_factory=list)

    @property
    def n_ctx(self) -> int:
        """Positions that it may take."""
        return self.context.n_ctx


def generate(s: Session, prompt: Sequence[int], n_predict: int = -1) -> Iterator[Piece]:
    """Yield what follows `prompt`, up to n_predict tokens (negative: any number); closing the iterator cancels.

    The prompt comes behind what the session has. The end-of-generation token is yielded only where it has a text.
    `s.text.flush()` is then the end of the text.
    """
    yield from draw(s, prefill(s, prompt), n_predict)


def prefill(s: Session, prompt: Sequence[int]) -> Floats:
    """Compute what is pending, and the prompt behind it; the logits of the last token.   -> float32 (n_vocab,)

    An encoder-decoder takes the first prompt as its source, and begins an answer to it.
    Raises ModelError when it does not fit the context.
    """
    context = s.context
    s.sampler.accept_prompt(prompt)
    if context.decoder_start is not None and not s.tokens:
        context.encode(prompt, s.seq)
        s.tokens += prompt
        prompt = [context.decoder_start]
    s.pending += prompt
    settle(s)
    with s.timings.prefill.of(len(s.pending)):
        while True:
            n = min(len(s.pending), most_at_once(s))
            make_room(s, n)
            logits = context.prefill(s.pending[:n], s.seq)
            s.tokens += s.pending[:n]
            del s.pending[:n]
            if not s.pending:
                return logits


def draw(s: Session, logits: Floats, n_predict: int = -1) -> Iterator[Piece]:
    """`generate`, from the logits that `prefill` gave."""
    sampler, timings = s.sampler, s.timings
    s.finish = None
    n_left = n_predict
    while n_left != 0:
        with timings.sample.of(1):
            token = sampler.sample(logits)
            sampler.accept(token)
        s.pending.append(token)
        n_left -= 1
        text = s.text.push(token)
        if s.vocab.is_eog(token):
            s.finish = Finish.END_OF_TEXT
            if text:
                yield Piece(token, text)
            return
        yield Piece(token, text)
        if n_left == 0:
            break
        if not make_room(s, 1):
            s.finish = Finish.CONTEXT_FULL
            return
        with timings.step.of(1):
            logits = s.context.step(token, s.seq)
        s.tokens.append(s.pending.pop())
    s.finish = Finish.LENGTH


def reuse(s: Session, tokens: Sequence[int]) -> list[int]:
    """Make the session begin as `tokens` do, keeping what it has in common with them; returns those left to compute.

    One token at least is left, as its logits are needed. The sampler is not told of any.
    """
    n = min(n_common(s.tokens, tokens), len(tokens) - 1)
    if n < len(s.tokens) - s.context.n_ungrouped(s.seq):
        n = 0  # positions that self-extend has grouped stay together
    n = s.context.truncate(n, s.seq)
    del s.tokens[n:]
    s.pending.clear()
    return list(tokens[n:])


def settle(s: Session) -> None:
    """Forget what a cancelled call has left in the cache behind `tokens`: it may be half done."""
    if s.context.n_past(s.seq) > len(s.tokens):
        n_left = s.context.truncate(len(s.tokens), s.seq)
        s.pending[:0] = s.tokens[n_left:]
        del s.tokens[n_left:]


def n_common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


class Stretch(Protocol):
    """What has a sequence of the cache to itself: a Session, or a slot of the scheduler; see Session for the fields."""

    context: Context
    seq: int
    n_keep: int | None
    n_discard: int
    extend: SelfExtend | None
    tokens: list[int]
    pending: list[int]

    @property
    def n_ctx(self) -> int: ...


def most_at_once(s: Stretch) -> int:
    """How many tokens to compute before the context may have to be shifted or squeezed."""
    if s.extend is not None:
        return s.context.n_batch
    if s.n_keep is not None:
        return max(1, min(s.context.n_batch, (s.n_ctx - s.n_keep) // 2))
    return len(s.pending)


def make_room(s: Stretch, n: int) -> bool:
    """Shift the context until n tokens fit and one position is left, as llama.cpp does; False where they do not."""
    context = s.context
    if s.extend is not None:
        while context.n_ungrouped(s.seq) >= s.extend.width:
            context.group(s.extend.width, s.extend.n, s.seq)
    elif s.n_keep is not None and context.can_shift:
        while len(s.tokens) + n >= s.n_ctx and (n_discard := n_to_discard(s)) > 0:
            try:
                context.shift(s.n_keep, n_discard, s.seq)
            finally:  # also when Ctrl-C comes while it moves cells
                if context.n_past(s.seq) < len(s.tokens):
                    del s.tokens[s.n_keep : s.n_keep + n_discard]
    return len(s.tokens) + n < s.n_ctx


def n_to_discard(s: Stretch) -> int:
    """How many positions the next shift takes out."""
    n_movable = len(s.tokens) - (s.n_keep or 0)
    return min(s.n_discard, n_movable) if s.n_discard else n_movable // 2
