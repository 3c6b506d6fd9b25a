"""The samplers of a conversation: one for each answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from llamakit.core.sampling.chain import Constraint, Sampler
from llamakit.core.sampling.params import RANDOM_SEED, SamplingParams
from llamakit.core.sampling.reasoning_budget import ReasoningBudget, TagFinder
from llamakit.core.sampling.seed import choose_seed

if TYPE_CHECKING:
    from llamakit.core.grammar.grammar import Grammar
    from llamakit.core.vocab.base import Vocab


@dataclass(frozen=True, slots=True)
class Thoughts:
    """How a model marks its thoughts, in tokens, and how long they may be."""

    start: list[int]
    end: list[int]
    forced_end: list[int]  # what ends them when they are too long
    budget: int = -1  # tokens; negative: any number

    def counted(self, is_open: bool) -> ReasoningBudget:
        budget = ReasoningBudget([self.start], [self.end], self.forced_end, self.budget)
        if is_open:
            budget.begin()
        return budget


class Draws:
    """Makes the sampler of the n-th answer, its seed n after the first one's.

    So an answer that is asked for again is another one, and a conversation that is loaded from a file goes on as it
    would have, without any state of a sampler. `grammar` is what the answers from now on must fit, thoughts aside.
    """

    def __init__(self, params: SamplingParams, vocab: Vocab, n_vocab: int) -> None:
        self.params, self.vocab, self.n_vocab = params, vocab, n_vocab
        self.seed = choose_seed(params.seed)
        self.grammar: Grammar | None = None

    def plain(self, number: int) -> Sampler:
        """For a model of which nobody knows how it thinks."""
        return self.sampler(number, self.matcher(), None)

    def thinking(self, number: int, thoughts: Thoughts, is_open: bool) -> Sampler:
        """For one that may think first; `is_open`: the prompt has begun its thoughts."""
        matcher = self.matcher()
        if matcher is not None and is_open:
            matcher = AfterThoughts(matcher, thoughts.end)
        return self.sampler(number, matcher, thoughts.counted(is_open) if thoughts.budget >= 0 else None)

    def matcher(self) -> Constraint | None:
        return self.grammar.matcher(self.vocab) if self.grammar is not None else None

    def sampler(self, number: int, constraint: Constraint | None, budget: ReasoningBudget | None) -> Sampler:
        params = replace(self.params, seed=(self.seed + number) % RANDOM_SEED)
        return Sampler(params, self.n_vocab, self.vocab.eog_ids, constraint=constraint, vocab=self.vocab, budget=budget)


class AfterThoughts:
    """A constraint that holds when the thoughts have ended."""

    def __init__(self, constraint: Constraint, end: list[int]) -> None:
        self.constraint, self.ends = constraint, TagFinder([end])
        self.is_thinking = True

    def fill_mask(self, mask: npt.NDArray[np.uint32]) -> None:
        if self.is_thinking:
            mask[:] = 0xFFFFFFFF
        else:
            self.constraint.fill_mask(mask)

    def accept(self, token: int) -> None:
        if not self.is_thinking:
            self.constraint.accept(token)
        elif self.ends.push(token) is not None:
            self.is_thinking = False
