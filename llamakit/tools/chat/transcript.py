"""What the model has read and said: as text, and as the very tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


class Encoder(Protocol):
    """What a transcript asks of a vocabulary."""

    bos_id: int | None
    add_bos: bool

    def encode(self, text: str, *, add_special: bool = True, parse_special: bool = False) -> list[int]: ...


Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of the conversation's text and its tokens: a part of a prompt, or what the model said."""

    text: str
    tokens: tuple[int, ...]


class Transcript:
    """The conversation in segments, so that a longer prompt costs only its new end.

    A text says not which tokens it was: the model may have drawn "Hel" and "lo" where encoding gives "Hello". So the
    tokens of a prompt are those of the segments it begins with, and only the text behind them is encoded.
    """

    def __init__(self, vocab: Encoder) -> None:
        self.vocab = vocab
        self.segments: list[Segment] = []

    def n_same(self, prompt: str) -> int:
        """How many segments the prompt begins with."""
        place = 0
        for i, segment in enumerate(self.segments):
            if not prompt.startswith(segment.text, place):
                return i
            place += len(segment.text)
        return len(self.segments)

    def read(self, prompt: str, literal: Sequence[Span] = ()) -> None:
        """From now on the transcript is this prompt; in its `literal` places, from and to, no special tokens are."""
        del self.segments[self.n_same(prompt) :]
        start = sum(len(segment.text) for segment in self.segments)
        if start == len(prompt) and self.segments:
            return
        is_first = not self.segments
        tokens = [self.vocab.bos_id] if is_first and self.vocab.add_bos and self.vocab.bos_id is not None else []
        rest, end = prompt[start:], 0
        for first, last in [*((a - start, b - start) for a, b in literal if a >= start), (len(rest), len(rest))]:
            tokens += self.vocab.encode(rest[end:first], add_special=False, parse_special=True)
            tokens += self.vocab.encode(rest[first:last], add_special=False)
            end = last
        self.segments.append(Segment(rest, tuple(tokens)))

    def say(self, text: str, tokens: list[int]) -> None:
        """The model has answered."""
        if tokens:
            self.segments.append(Segment(text, tuple(tokens)))

    def tokens(self, first: int = 0) -> list[int]:
        """All tokens, or those from a segment on."""
        return list(self._tokens(first))

    def _tokens(self, first: int) -> Iterator[int]:
        for segment in self.segments[first:]:
            yield from segment.tokens
