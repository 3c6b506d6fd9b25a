"""One answer as it grows: tokens to text, to what is thought and what is said, until a stop text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from llamakit.core.vocab.stream import Pieces, TextStream
from llamakit.tools.chat.events import Delta
from llamakit.tools.chat.stop import StopTexts


class Reader(Protocol):
    """Tells thinking from saying in the text of an answer."""

    def push(self, text: str) -> Iterable[Delta]: ...

    def finish(self) -> Iterable[Delta]: ...


class Plain:
    """A reader that takes all text as said."""

    def push(self, text: str) -> Iterable[Delta]:
        return [Delta(text)] if text else []

    def finish(self) -> Iterable[Delta]:
        return []


class Answer:
    """What the model has said so far: `tokens`, and `thinking` and `content` as they were passed on."""

    def __init__(self, reader: Reader, stops: Sequence[str]) -> None:
        self.reader, self.stops = reader, StopTexts(stops)
        self.tokens: list[int] = []
        self.thinking = self.content = ""

    @property
    def is_stopped(self) -> bool:
        return self.stops.is_found

    def push(self, text: str) -> Iterator[Delta]:
        """What may be shown after more text."""
        yield from self._keep(self.reader.push(text))

    def finish(self) -> Iterator[Delta]:
        """What was held back, when no more text comes."""
        yield from self._keep(self.reader.finish())
        if rest := self.stops.flush():
            self.content += rest
            yield Delta(rest)

    def _keep(self, deltas: Iterable[Delta]) -> Iterator[Delta]:
        for delta in deltas:
            if delta.is_thinking:
                self.thinking += delta.text
                yield delta
            elif text := self.stops.push(delta.text):
                self.content += text
                yield Delta(text)


def raw_text(vocab: Pieces, tokens: Sequence[int]) -> str:
    """The text of tokens with every special token's own text, as a prompt writes them."""
    stream = TextStream(vocab, special=True)
    return "".join([*map(stream.push, tokens), stream.flush()])
