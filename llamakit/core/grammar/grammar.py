"""A grammar, whatever it was written in: does a text match, which tokens may follow."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from llamakit.core.grammar.automaton import Automaton, Reader
from llamakit.core.grammar.compiler import compile_rules
from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.lazy import LazyMatcher
from llamakit.core.grammar.matcher import Masks, Matcher
from llamakit.core.grammar.program import Program
from llamakit.core.grammar.rules import Rules
from llamakit.core.grammar.specials import with_control_tokens
from llamakit.core.grammar.trie import Vocabulary, token_id, trie_of
from llamakit.core.grammar.triggers import Triggers

PART = 1 << 8  # bytes of a text read at once: in between, the automaton may forget what it no longer needs


@dataclass(frozen=True, slots=True)
class Reading:
    """How much of a text was read; is that complete; the bytes that may follow."""

    n_bytes: int
    is_complete: bool
    follow: bytes


class Grammar:
    """Immutable for its users; what it has computed is shared by all sequences, and bounded."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.program = compile_rules(rules)
        self._lock = threading.Lock()
        self._automaton: Automaton | None = None
        self._masks: WeakKeyDictionary[Vocabulary, Masks] = WeakKeyDictionary()

    def matches(self, text: str | bytes) -> bool:
        """Whether the whole text is one of the grammar's.

        Raises GrammarError for a grammar of tokens, as text does not say which tokens it is made of.
        """
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        reader, n_read = self._read(data)
        return n_read == len(data) and self.automaton(self.program).is_accepting(reader)

    def explain(self, text: bytes) -> Reading:
        """How far a text can be read, and how it could go on there. Raises GrammarError as `matches` does."""
        automaton = self.automaton(self.program)
        reader, n_read = self._read(text)
        follow = bytes(byte for byte in range(256) if automaton.read(reader, bytes([byte])))
        return Reading(n_read, automaton.is_accepting(reader), follow)

    def _read(self, text: bytes) -> tuple[Reader, int]:
        """A reader of as much of a text as is the beginning of one of the grammar's."""
        if len(self.program.tokens):
            raise GrammarError("the grammar names tokens: text alone cannot be matched, ask a matcher")
        automaton = self.automaton(self.program)
        reader, n_read, size = automaton.reader(), 0, PART
        while n_read < len(text):
            state = automaton.read(reader, text[n_read : n_read + size])
            if state != 0:
                reader.states = [state]
                n_read += size
            elif size > 1:
                size //= 2
            else:
                break
        return reader, min(n_read, len(text))

    def matcher(self, vocab: Vocabulary) -> Matcher:
        """For one sequence of this vocabulary's tokens. Raises GrammarError if the grammar names a token it lacks."""
        with self._lock:
            masks = self._masks.get(vocab)
        if masks is None:
            trie = trie_of(vocab)
            rules = with_control_tokens(self.rules, trie.control)
            program = self.program if rules is self.rules else compile_rules(rules)
            masks = Masks(self.automaton(with_token_ids(program, vocab)), trie)
            with self._lock:
                masks = self._masks.setdefault(vocab, masks)
        return Matcher(masks)

    def lazy_matcher(self, vocab: Vocabulary, triggers: Triggers) -> LazyMatcher:
        """As `matcher`, for a sequence in which the grammar holds from a trigger on."""
        return LazyMatcher(self.matcher(vocab), triggers, vocab)

    def automaton(self, program: Program) -> Automaton:
        """The one of the program without a vocabulary, as far as none is needed."""
        if program is not self.program:
            return Automaton(program)
        with self._lock:
            if self._automaton is None:
                self._automaton = Automaton(program)
            return self._automaton


def with_token_ids(program: Program, vocab: Vocabulary) -> Program:
    """The program, where tokens that were named by their text have their ids."""
    for token in program.tokens[:, 0].tolist():
        if token >= vocab.n_tokens:
            raise GrammarError(
                f"the grammar names token {token}; the last one of this vocabulary is {vocab.n_tokens - 1}"
            )
    if not program.token_texts:
        return program
    tokens = program.tokens.copy()
    for row, text in program.token_texts.items():
        tokens[row, 0] = token_id(vocab, text)
    return replace(program, tokens=tokens)
