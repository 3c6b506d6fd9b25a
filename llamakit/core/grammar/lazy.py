"""Grammars that wait: any text, until a trigger; from there on the grammar holds."""

from __future__ import annotations

from codecs import utf_8_decode
from copy import copy
from dataclasses import dataclass, replace

from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.matcher import Mask, Matcher
from llamakit.core.grammar.trie import Vocabulary
from llamakit.core.grammar.triggers import Triggers


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sequence is: what must be remembered to come back."""

    n_bytes: int = 0  # of the text it waits in
    n_read: int = 0  # of these, what the watchers have seen: whole characters
    watching: tuple[int, ...] = ()  # the watchers' states
    is_awake: bool = False
    n_steps: int = 0  # that the matcher took with the last token


class LazyMatcher:
    """As a Matcher, but everything may come until a trigger is there.

    Control tokens are text for the triggers. `accept` raises GrammarError when what comes from the trigger on is none
    of the grammar's.
    """

    def __init__(self, matcher: Matcher, triggers: Triggers, vocab: Vocabulary) -> None:
        self.matcher, self.triggers, self.trie = matcher, triggers, matcher.trie
        singles = [vocab.encode(word, add_special=False, parse_special=True) for word in triggers.words]
        self.tokens = triggers.tokens | {ids[0] for ids in singles if len(ids) == 1}
        self.text = b""
        self.seen: list[tuple[int, int]] = []  # tokens of the text, and where each ends
        self.places = [Place(watching=(0,) * len(triggers.watchers))]

    @property
    def is_awake(self) -> bool:
        """Whether the grammar holds."""
        return self.places[-1].is_awake

    def fill_mask(self, mask: Mask) -> None:
        """See Matcher.fill_mask; every token while it waits."""
        if self.is_awake:
            self.matcher.fill_mask(mask)
            return
        n_words = min(len(mask), self.trie.n_words)
        mask[:n_words] = self.trie.everything[:n_words]
        mask[n_words:] = 0

    def allows(self, token: int) -> bool:
        return self.matcher.allows(token) if self.is_awake else 0 <= token < self.trie.n_tokens

    def accept(self, token: int) -> None:
        """The sequence goes on with this token."""
        here = self.places[-1]
        if here.is_awake or token in self.tokens:
            self.matcher.accept(token)
            here = replace(here, is_awake=True, n_steps=1)
        elif token in self.trie.ends:
            here = replace(here, n_steps=0)
        else:
            here = self.watch(here, token)
        self.places.append(here)

    def watch(self, here: Place, token: int) -> Place:
        """The place after one more token, which may end a trigger."""
        self.text = self.text[: here.n_bytes] + (self.trie.pieces[token] or self.trie.control.get(token, b""))
        while self.seen and self.seen[-1][1] > here.n_bytes:
            self.seen.pop()  # of a way that was gone back
        self.seen.append((token, len(self.text)))
        chars, n_read = utf_8_decode(self.text[here.n_read :], "surrogateescape", False)
        states = tuple(w.read(s, chars) for w, s in zip(self.triggers.watchers, here.watching, strict=True))
        here = Place(len(self.text), here.n_read + n_read, states)
        if any(s >= 0 and w.accepting[s] for w, s in zip(self.triggers.watchers, states, strict=True)):
            text = self.text[: here.n_read].decode("utf-8", "surrogateescape")
            start = self.triggers.place(text)
            if start is not None:
                n_steps = self.wake(len(text[:start].encode("utf-8", "surrogateescape")))
                here = replace(here, is_awake=True, n_steps=n_steps)
        return here

    def wake(self, start: int) -> int:
        """Let the matcher read the text from `start` on, and the tokens that begin there; returns its steps."""
        n_steps = 0
        begin = 0
        for token, end in self.seen:
            if end > start:
                is_whole = begin >= start
                try:
                    self.matcher.accept_text(self.text[max(begin, start) : end], token if is_whole else -1)
                except GrammarError:
                    self.matcher.rollback(n_steps)
                    raise
                n_steps += 1
            begin = end
        return n_steps

    def rollback(self, n: int) -> None:
        """Forget the last n tokens."""
        if not 0 <= n < len(self.places):
            raise ValueError(f"cannot go back {n} tokens of {len(self.places) - 1}")
        if n:
            self.matcher.rollback(sum(place.n_steps for place in self.places[-n:]))
            del self.places[-n:]

    def copy(self) -> LazyMatcher:
        """Another sequence that begins with the same tokens."""
        made = copy(self)
        made.matcher, made.places, made.seen = self.matcher.copy(), self.places.copy(), self.seen.copy()
        return made

    def forced(self, most: int = 256) -> bytes:
        """See Matcher.forced."""
        return self.matcher.forced(most) if self.is_awake else b""

    @property
    def is_accepting(self) -> bool:
        """Whether the text may end here."""
        return not self.is_awake or self.matcher.is_accepting

    @property
    def is_dead(self) -> bool:
        """Whether no token at all may follow."""
        return self.is_awake and self.matcher.is_dead
