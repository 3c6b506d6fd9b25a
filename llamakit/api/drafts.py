"""Guesses of what comes next, for speculative decoding under llama-cpp-python's names.

A guess never changes what is said, only how fast: the model verifies each guessed token (`core/engine/speculation`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from llamakit.core.engine.speculation import Guesser, PromptLookup, Want

Tokens = npt.NDArray[np.intc]


class LlamaDraftModel(ABC):
    """Guesses tokens that may follow others."""

    @abstractmethod
    def __call__(self, input_ids: Tokens, /, **kwargs: Any) -> Tokens:
        """Up to a few tokens that may follow; none is fine.   int32 (n,) -> int32 (n_guessed,)"""


class DraftGuesser:
    """A draft model as the scheduler asks for guesses."""

    def __init__(self, model: Callable[..., Any], n_most: int = 10) -> None:
        self._model, self.n_most = model, n_most

    def guess(self, wants: Sequence[Want]) -> list[list[int]]:
        return [np.asarray(self._model(np.array([*w.tokens, w.last], np.intc)))[: w.n].tolist() for w in wants]

    def forget(self, seq: int) -> None:
        """Nothing is kept."""


def guesser_of(model: Callable[..., Any]) -> Guesser:
    """Who guesses as a draft model of llama-cpp-python's kind does."""
    if type(model) is LlamaPromptLookupDecoding:  # the same idea, with an index
        return PromptLookup(model.num_pred_tokens)
    return DraftGuesser(model)


class LlamaPromptLookupDecoding(LlamaDraftModel):
    """What followed the last few tokens when they were last said (prompt lookup).

    Source: Saxena, "Prompt Lookup Decoding" (2023): good where answers repeat their prompts.
    """

    def __init__(self, max_ngram_size: int = 2, num_pred_tokens: int = 10) -> None:
        self.max_ngram_size, self.num_pred_tokens = max_ngram_size, num_pred_tokens

    def __call__(self, input_ids: Tokens, /, **kwargs: Any) -> Tokens:
        return self.find_candidate_pred_tokens(input_ids, self.max_ngram_size, self.num_pred_tokens)

    @staticmethod
    def find_candidate_pred_tokens(input_ids: Tokens, max_ngram_size: int, num_pred_tokens: int) -> Tokens:
        """What followed the longest end of up to max_ngram_size tokens; empty where none was said before."""
        for size in range(min(max_ngram_size, len(input_ids) - 1), 0, -1):
            windows = np.lib.stride_tricks.sliding_window_view(input_ids, size)[:-1]
            matches = np.flatnonzero((windows == input_ids[-size:]).all(axis=1))
            if len(matches):
                start = int(matches[0]) + size
                return np.asarray(input_ids[start : start + num_pred_tokens], np.intc)
        return np.zeros(0, np.intc)
