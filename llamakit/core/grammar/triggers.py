"""What a grammar waits for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from llamakit.core.grammar.dfa import Dfa
from llamakit.core.grammar.regex_dfa import search
from llamakit.core.grammar.regex_find import Finder


@dataclass(frozen=True)
class Triggers:
    """What wakes a grammar: words, patterns that are found in the text or match all of it, and tokens.

    The grammar reads the text from the trigger on: from the word, from the pattern's first group that is not empty, or
    from where the pattern begins; of a token, the token itself.
    """

    words: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    full_patterns: tuple[str, ...] = ()
    tokens: frozenset[int] = frozenset()

    @cached_property
    def all_patterns(self) -> tuple[str, ...]:
        words = (re.sub(r"([^\w\s])", r"\\\1", word) for word in self.words)
        return (*words, *self.patterns, *(f"^(?:{p})$" for p in self.full_patterns))

    @cached_property
    def watchers(self) -> tuple[Dfa, ...]:
        """Automata that say after each character whether a pattern has been found."""
        return tuple(search(pattern) for pattern in self.all_patterns)

    def place(self, text: str) -> int | None:
        """Where the grammar begins in a text; None if nothing wakes it."""
        places = []
        for pattern in self.all_patterns:
            if (found := Finder(pattern).find(text)) is not None:
                start, marks = found
                groups = zip(marks[::2], marks[1::2], strict=True)
                places.append(next((begin for begin, end in groups if end > begin >= 0), start))
        return min(places, default=None)
