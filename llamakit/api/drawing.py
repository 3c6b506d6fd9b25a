"""A sampler that asks the caller's functions: logits processors and stopping criteria."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from llamakit.core.sampling.chain import Sampler
from llamakit.errors import LlamakitError, UsageError

Floats = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.int32]
Processor = Callable[[Tokens, Floats], Floats]  # (tokens so far, logits) -> logits
Criterion = Callable[[Tokens, Floats], bool]  # (tokens so far, logits) -> is it enough?


class LogitsProcessorList(list[Processor]):
    """Several, one after the other."""

    def __call__(self, input_ids: Tokens, scores: Floats) -> Floats:
        for processor in self:
            scores = processor(input_ids, scores)
        return scores


class StoppingCriteriaList(list[Criterion]):
    """Enough, when one of them says so."""

    def __call__(self, input_ids: Tokens, logits: Floats) -> bool:
        return any(criterion(input_ids, logits) for criterion in self)


def processed(process: Processor, tokens: Tokens, logits: Floats) -> Floats:
    """What a processor makes of logits. Raises UsageError where that is not as many numbers."""
    made: Any = process(tokens, logits.copy())
    if np.shape(made) != logits.shape:
        what = "None" if made is None else f"an array of shape {np.shape(made)}"
        raise UsageError(f"logits_processor: one returned {what}; it must return the {len(logits)} logits")
    return np.ascontiguousarray(made, np.float32)


class MinTokensLogitsProcessor:
    """No end before so many tokens."""

    def __init__(self, min_tokens: int, token_eos: int) -> None:
        self.min_tokens, self.token_eos = min_tokens, token_eos
        self.prompt_tokens: int | None = None

    def __call__(self, input_ids: Tokens, scores: Floats) -> Floats:
        if self.prompt_tokens is None:
            self.prompt_tokens = len(input_ids)
        if len(input_ids) - self.prompt_tokens < self.min_tokens:
            scores[self.token_eos] = -np.inf
        return scores


class Enough(LlamakitError):
    """The stopping criteria are met."""


class CallingSampler(Sampler):
    """As in llama-cpp-python, penalties see drawn tokens only, processors and criteria all tokens."""

    def __init__(
        self, *arguments: Any, processors: Iterable[Processor] = (), criterion: Criterion | None = None, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self._processors, self._criterion = list(processors), criterion
        self.is_plain = self.is_plain and not self._processors and criterion is None  # else kernels do not suffice
        self._tokens: list[int] = []

    def accept_prompt(self, tokens: Sequence[int]) -> None:
        self._tokens += tokens

    def sample(self, logits: Floats) -> int:
        """Raises Enough when the criteria are met, and what the functions raise."""
        if self._processors or self._criterion is not None:
            tokens = np.array(self._tokens, np.int32)
            if self._criterion is not None and self._criterion(tokens, logits):
                raise Enough("the stopping criteria are met")
            for process in self._processors:
                logits = processed(process, tokens, logits)
        return super().sample(logits)

    def accept(self, token: int) -> None:
        self._tokens.append(token)
        super().accept(token)
