"""One sequence of tokens under a grammar: what a sampler asks."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from llamakit.core.grammar.automaton import Automaton, Reader
from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.trie import TokenTrie
from llamakit.errors import printable

BYTES_OF_MASKS = 8 << 20  # kept for each grammar and vocabulary

Mask = npt.NDArray[np.uint32]


class Masks:
    """Masks by state, the least used forgotten first: for all sequences of one grammar and vocabulary."""

    def __init__(self, automaton: Automaton, trie: TokenTrie) -> None:
        self.automaton, self.trie = automaton, trie
        self.generation = automaton.generation
        self.room = max(BYTES_OF_MASKS // (4 * trie.n_words), 4)
        self.kept: OrderedDict[int, Mask] = OrderedDict()

    def of(self, reader: Reader) -> Mask:
        """The tokens that may follow; not to be changed."""
        with self.automaton.lock:
            if self.generation != self.automaton.generation:
                self.kept.clear()
            mask = self.kept.get(reader.states[-1])
            if mask is None:
                mask = np.empty(self.trie.n_words, np.uint32)
                self.automaton.fill_mask(reader, self.trie, mask)
                self.generation = self.automaton.generation  # filling may have forgotten states
                if len(self.kept) >= self.room:
                    self.kept.popitem(last=False)
                self.kept[reader.states[-1]] = mask
            else:
                self.kept.move_to_end(reader.states[-1])
            return mask


class Matcher:
    """The state of one sequence. `accept` its tokens; between them `fill_mask` says which ones may follow.

    All methods that compute raise GrammarError when the grammar is too ambiguous for this text.
    """

    def __init__(self, masks: Masks, reader: Reader | None = None, is_ended: bool = False) -> None:
        self.masks, self.automaton, self.trie = masks, masks.automaton, masks.trie
        self.reader = reader or self.automaton.reader()
        self.is_ended = is_ended  # an end-of-generation token was accepted: nothing follows

    def fill_mask(self, mask: Mask) -> None:
        """Bit t % 32 of word t // 32: may token t come next?   mask: (ceil(n_vocab / 32),)

        Ends of generation may come where the text is complete. All bits are 0 when the grammar has come to a dead end.
        """
        words = min(len(mask), self.trie.n_words)
        mask[:words] = 0 if self.is_ended else self.masks.of(self.reader)[:words]
        mask[words:] = 0

    def allows(self, token: int) -> bool:
        """Whether `accept` would take this token: faster than a mask."""
        return self.after(token) is not None

    def accept(self, token: int) -> None:
        """The sequence goes on with this token. Raises GrammarError if the grammar does not allow it."""
        state = self.after(token)
        if state is None:
            text = printable(self.trie.pieces[token].decode(errors="replace")) if token < self.trie.n_tokens else "?"
            raise GrammarError(f"token {token} ({text!r}) cannot come next in this grammar")
        self.is_ended = token in self.trie.ends
        self.reader.states.append(state)

    def accept_text(self, text: bytes, token: int = -1) -> None:
        """The sequence goes on with this text, or with `token` if it is one, as one step.

        Raises GrammarError if the grammar allows neither.
        """
        state = 0 if self.is_ended else self.automaton.read(self.reader, text, token)
        if state == 0:
            raise GrammarError(f"{printable(text.decode(errors='replace'))!r:.80} cannot come next in this grammar")
        self.reader.states.append(state)

    def after(self, token: int) -> int | None:
        """The state after a token; None if it cannot come next."""
        if self.is_ended or not 0 <= token < self.trie.n_tokens:
            return None
        if token in self.trie.ends:
            return self.reader.states[-1] if self.is_accepting else None
        return self.automaton.read(self.reader, self.trie.pieces[token], token) or None

    def rollback(self, n: int) -> None:
        """Forget the last n tokens. Raises ValueError for more than are remembered (at least 63)."""
        if not 0 <= n < len(self.reader.states):
            raise ValueError(f"cannot go back {n} tokens of {len(self.reader.states) - 1}")
        if n:
            del self.reader.states[-n:]
            self.is_ended = False

    def copy(self) -> Matcher:
        """Another sequence that begins with the same tokens."""
        return Matcher(self.masks, self.automaton.copy(self.reader), self.is_ended)

    def forced(self, most: int = 256) -> bytes:
        """The bytes that must follow, where there is no choice: they need no model."""
        return b"" if self.is_ended else self.automaton.forced(self.reader, most)

    @property
    def is_accepting(self) -> bool:
        """Whether the text so far is complete."""
        return self.automaton.is_accepting(self.reader)

    @property
    def is_dead(self) -> bool:
        """Whether no token at all may follow."""
        return self.is_ended or not self.masks.of(self.reader).any()
