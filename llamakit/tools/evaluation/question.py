"""A question with several answers, whatever file it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from llamakit.core.vocab.base import Vocab
from llamakit.errors import UsageError
from llamakit.tools.perplexity.choices import n_common

Doubles = npt.NDArray[np.float64]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Question:
    """`prompt` is followed by each of the answers; `scored` says which texts count where they are not the answers.

    group: what questions are counted together by, as MMLU's subjects.
    """

    prompt: str
    answers: tuple[str, ...]
    right: int
    group: str = ""


@dataclass(frozen=True, slots=True)
class Ways:
    """The sequences of a question. Scores are sums of log-probabilities, or those divided by the answers' bytes."""

    sequences: Sequence[Sequence[int]]
    n_shared: int
    right: int
    lengths: tuple[int, ...]  # bytes of the answers
    starts: tuple[int, ...]  # where in each sequence the answer begins

    def scores(self, logprobs: Sequence[Doubles]) -> list[float]:
        """Sums: what "acc" goes by."""
        return [float(ln_p[start - self.n_shared :].sum()) for ln_p, start in zip(logprobs, self.starts, strict=True)]

    def is_right(self, choice: int) -> bool:
        return choice == self.right


def encode(question: Question, vocab: Vocab) -> Ways:
    """Each answer behind the prompt, tokenized as one text. Raises UsageError where nothing is shared."""
    sequences = [vocab.encode(question.prompt + answer) for answer in question.answers]
    n_shared = n_common(sequences)
    n_prompt = len(vocab.encode(question.prompt.rstrip() or question.prompt))
    starts = tuple(max(n_shared, min(n_prompt, len(tokens) - 1)) for tokens in sequences)
    lengths = tuple(max(1, len(answer.strip().encode())) for answer in question.answers)
    return Ways(sequences, n_shared, question.right, lengths, starts)


def lettered(stem: str, choices: Sequence[str]) -> str:
    """A question with its choices under letters, as MMLU's prompts."""
    lines = [stem.strip(), *(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))]
    return "\n".join([*lines, "Answer:"])


def index_of(answer: Any, n: int, *, starts_at: int = 0, is_number: bool = False) -> int:
    """The place of the right answer, of a number or a letter. Raises UsageError for one that is none."""
    text = str(answer).strip()
    place = int(text) - starts_at if text.isdecimal() else -1
    if place < 0 and not is_number and len(text) == 1:
        place = LETTERS.find(text.upper())
    if not 0 <= place < n:
        raise UsageError(f"the answer {answer!r} is none of the {n}")
    return place
