"""The token loop: a prompt in, pieces of text out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from llamakit.core.engine.timings import Timings

if TYPE_CHECKING:
    from llamakit.core.engine.context import Context
    from llamakit.core.sampling.chain import Sampler
    from llamakit.core.vocab.base import Vocab
    from llamakit.core.vocab.stream import TextStream


class Finish(Enum):
    END_OF_TEXT = "the model ended the text"
    LENGTH = "n_predict tokens were made"
    CONTEXT_FULL = "the context is full"
    STOP_TEXT = "a stop text was found"  # said by whoever reads the pieces


@dataclass(frozen=True, slots=True)
class Piece:
    """A token and the text that it completes: none while a character is unfinished."""

    token: int
    text: str


@dataclass(slots=True)
class Session:
    """What one sequence is continued with; `timings` and `finish` tell what happened."""

    context: Context
    vocab: Vocab
    sampler: Sampler
    text: TextStream
    seq: int = 0
    n_keep: int | None = None  # positions that a context shift leaves in front; None: a full context ends the text
    timings: Timings = field(default_factory=Timings)
    finish: Finish | None = None


def generate(s: Session, prompt: Sequence[int], n_predict: int = -1) -> Iterator[Piece]:
    """Yield what follows `prompt`, up to n_predict tokens (negative: any number); closing the iterator cancels.

    The end-of-generation token is yielded only where it has a text. `s.text.flush()` is then the end of the text.
    """
    context, sampler, timings = s.context, s.sampler, s.timings
    sampler.accept_prompt(prompt)
    with timings.prefill.of(len(prompt)):
        logits = context.prefill(prompt, s.seq)
    n_left = n_predict
    while n_left != 0:
        with timings.sample.of(1):
            token = sampler.sample(logits)
            sampler.accept(token)
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
        if not make_room(s):
            s.finish = Finish.CONTEXT_FULL
            return
        with timings.step.of(1):
            logits = context.step(token, s.seq)
    s.finish = Finish.LENGTH


def make_room(s: Session) -> bool:
    """Shift the context when one position is left, as llama.cpp does; False where it must not be shifted."""
    n_past = s.context.n_past(s.seq)
    if n_past + 1 < s.context.n_ctx:
        return True
    n_discard = 0 if s.n_keep is None else (n_past - s.n_keep) // 2
    if n_discard <= 0 or s.n_keep is None:
        return False
    s.context.shift(s.n_keep, n_discard, s.seq)
    return True
