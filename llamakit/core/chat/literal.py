"""Text that people and tools say is text: what looks like a special token in it is none.

Before rendering, a mark is put into each such place, which a template carries along as part of the text; afterwards the
marks are taken out, and their places noted.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from llamakit.core.chat.message import MEDIA_MARKER, Message, Part

if TYPE_CHECKING:
    from llamakit.core.vocab import Vocab

_MARK = "\ufdd0"  # no character, and in no vocabulary
_SAID_BY_OTHERS = frozenset({"user", "tool", "function", "ipython", "observation"})
_START = 4  # characters by which thousands of special tokens are told from plain text

Span = tuple[int, int]


class SpecialTexts:
    """Texts that are special in a prompt, and how to find them in others."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._texts = {text for text in texts if len(text) > 1}  # one character cannot hold a mark
        lengths: dict[str, set[int]] = defaultdict(set)
        for text in self._texts:
            lengths[text[:_START]].add(len(text))
        self._lengths = {start: sorted(by_start, reverse=True) for start, by_start in lengths.items()}
        starts = sorted(map(re.escape, self._lengths), key=len, reverse=True)
        self._start = re.compile("|".join(starts) if starts else "(?!)")

    def at(self, text: str, position: int) -> Span | None:
        """The longest special text that begins there."""
        start = self._start.match(text, position)
        for length in self._lengths[start[0]] if start else ():
            if text[position : position + length] in self._texts:
                return position, position + length
        return None

    def find(self, text: str) -> list[Span]:
        """All of them, from left to right."""
        spans, end = [], 0
        for start in self._start.finditer(text):
            span = self.at(text, start.start()) if start.start() >= end else None
            if span:
                spans.append(span)
                end = span[1]
        return spans


NO_SPECIALS = SpecialTexts()


def special_texts(vocab: Vocab) -> SpecialTexts:
    """What is read as a token in a prompt, and would not be in a plain text; and what stands for a medium."""
    from llamakit.core.vocab.tokens import TokenType, ids_of_types

    ids = ids_of_types(vocab.types, TokenType.CONTROL, TokenType.UNKNOWN)
    return SpecialTexts([MEDIA_MARKER, *(vocab.texts[i] for i in ids)])


def marked(message: Message, specials: SpecialTexts) -> Message:
    """The message, with marks in what people and tools say and is not special."""
    if message.role not in _SAID_BY_OTHERS or not message.content:
        return message
    if isinstance(message.content, str):
        return replace(message, content=mark(message.content, specials))
    parts = (Part("text", mark(p.text, specials)) if p.kind == "text" else p for p in message.content)
    return replace(message, content=tuple(parts))


def mark(text: str, specials: SpecialTexts) -> str:
    text = text.replace(_MARK, "")
    pieces, end = [], 0
    for first, _ in specials.find(text):
        pieces.append(text[end : first + 1])
        end = first + 1
    return _MARK.join([*pieces, text[end:]])


def unmarked(text: str, specials: SpecialTexts) -> tuple[str, tuple[Span, ...]]:
    """The text without marks, and the places in it that look special, but are text: from, to."""
    *pieces, rest = text.split(_MARK)
    text = "".join([*pieces, rest])
    spans, position = [], 0
    for piece in pieces:
        position += len(piece)
        span = specials.at(text, position - 1) if position else None
        if span:  # unless the template cut it
            spans.append(span)
    return text, tuple(spans)


def encode(vocab: Vocab, text: str, literal: Iterable[Span]) -> list[int]:
    """Token ids of a prompt, with what the model wants around it; in `literal` places there are no special tokens."""
    if not literal:
        return vocab.encode(text, add_special=True, parse_special=True)
    ids, end = [vocab.bos_id] if vocab.add_bos and vocab.bos_id is not None else [], 0
    for first, last in literal:
        ids += vocab.encode(text[end:first], add_special=False, parse_special=True)
        ids += vocab.encode(text[first:last], add_special=False)
        end = last
    ids += vocab.encode(text[end:], add_special=False, parse_special=True)
    return ids + ([vocab.eos_id] if vocab.add_eos and vocab.eos_id is not None else [])
