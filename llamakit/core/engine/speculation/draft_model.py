"""Guesses of a small model with the same vocabulary: what it finds likeliest, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llamakit.core.engine.context import Chunk
from llamakit.core.engine.generate import n_common
from llamakit.core.engine.speculation.guesser import Want
from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.core.engine.context import Context

MOST_UNKNOWN = 256  # tokens of a new text computed before a step; those of a long one take several steps


class DraftModel:
    """Owns a context with as many sequences as the scheduler's; who closes it, closes it behind the scheduler.

    Raises UsageError for a model of another vocabulary's size, or one that cannot take tokens back.
    """

    def __init__(self, context: Context, target: Context, n_most: int = 8) -> None:
        if context.n_vocab != target.n_vocab:
            raise UsageError(
                f"{context.model.path} has {context.n_vocab} tokens, {target.model.path} {target.n_vocab}: a draft "
                f"model needs the same vocabulary"
            )
        if context.cache.states:
            raise UsageError(f"{context.model.path}: layers that remember cannot take guesses back; use another model")
        if context.cache.n_seq_max < target.cache.n_seq_max or context.n_ctx < target.n_ctx:
            raise UsageError("the draft model's context is smaller than that of the model it guesses for")
        self.context, self.n_most = context, n_most
        context.has_few = True
        self.tokens: dict[int, list[int]] = {}  # in the cache, by sequence

    def guess(self, wants: Sequence[Want]) -> list[list[int]]:
        """All together, a token of each at a time. A text that is not known yet is computed first, part by part."""
        guesses: list[list[int]] = [[] for _ in wants]
        nexts = {i: self.unknown(want) for i, want in enumerate(wants)}
        for i, tokens in [*nexts.items()]:
            if len(tokens) > MOST_UNKNOWN:
                self.compute([(wants[i].seq, tokens[:MOST_UNKNOWN])])
                del nexts[i]
        while nexts:
            drawn = self.compute([(wants[i].seq, tokens) for i, tokens in nexts.items()])
            for i, token in zip([*nexts], drawn, strict=True):
                guesses[i].append(token)
            nexts = {i: [guesses[i][-1]] for i in nexts if len(guesses[i]) < wants[i].n}
        return guesses

    def unknown(self, want: Want) -> list[int]:
        """Let a sequence be the beginning of a text, as far as it was; returns the rest of it."""
        known = self.tokens.setdefault(want.seq, [])
        n = min(n_common(known, want.tokens), len(want.tokens))
        if n < len(known):
            self.context.truncate(n, want.seq)
            del known[n:]
        return [*want.tokens[n:], want.last]

    def compute(self, parts: Sequence[tuple[int, list[int]]]) -> list[int]:
        """Add tokens to sequences; the likeliest that follow each."""
        logits = self.context.decode([Chunk(tokens, seq) for seq, tokens in parts])
        for seq, tokens in parts:
            self.tokens[seq] += tokens
        likeliest: list[int] = logits.argmax(axis=1).tolist()
        return likeliest

    def forget(self, seq: int) -> None:
        """Nothing: what texts have in common is kept, and the rest forgotten, when it is seen."""
