"""Winogrande: which of two words fills the gap? CSV files as llama.cpp reads them: index, sentence, words, answer."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llamakit.core.vocab.base import Vocab
from llamakit.errors import UsageError
from llamakit.tools.perplexity.choices import n_common
from llamakit.tools.perplexity.draws import draw

Doubles = npt.NDArray[np.float64]

GAP = "_"
N_FIELDS = 5
ENOUGH = 3  # tokens behind the common ones, beyond which the word itself is not scored


@dataclass(frozen=True, slots=True)
class Sentence:
    first: str
    second: str
    words: tuple[str, str]
    right: int  # 0 or 1


@dataclass(frozen=True, slots=True)
class GapTask:
    """Two sequences, of which the tokens from `starts` on count: those behind the word, or it too (`counts_word`).

    llama-perplexity leaves out the last token where others are left. Where the word counts, it takes the second word's
    first probability from behind the whole first sentence. So do we, to have its scores: for that, the first sequence
    has the second word's first token at its end.
    """

    sequences: Sequence[Sequence[int]]
    n_shared: int
    starts: tuple[int, int]
    counts_word: bool
    right: int

    def scores(self, logprobs: Sequence[Doubles]) -> list[float]:
        first, second = logprobs[0][:-1], logprobs[1].copy()
        if self.counts_word:
            second[0] = logprobs[0][-1]
        counted = (ln_p[start - self.n_shared :] for ln_p, start in zip((first, second), self.starts, strict=True))
        return [mean_score(ln_p) for ln_p in counted]

    def is_right(self, choice: int) -> bool:
        return choice == self.right


def mean_score(logprobs: Doubles) -> float:
    return float((logprobs[:-1] if len(logprobs) > 1 else logprobs).mean())


def parse(text: str) -> list[Sentence]:
    """All tasks of a file. Raises UsageError for a line that is none, naming it.

    As in llama-perplexity, a last line is one only with a newline behind it.
    """
    return list(sentences(text))


def sentences(text: str) -> Iterator[Sentence]:
    for n, line in enumerate(text.split("\n")[:-1], start=1):
        try:
            fields = next(csv.reader([line]))
        except csv.Error as error:
            raise UsageError(f"line {n}: is not CSV: {error}") from None
        if len(fields) != N_FIELDS:
            raise UsageError(f"line {n}: {len(fields)} fields; a Winogrande task has {N_FIELDS}: {line[:60]!r}")
        _, sentence, word1, word2, answer = fields
        first, gap, second = sentence.partition(GAP)
        if not gap:
            raise UsageError(f"line {n}: the sentence has no {GAP} for the word: {line[:60]!r}")
        if answer.strip() not in ("1", "2"):
            raise UsageError(f"line {n}: the answer is {answer!r}, not 1 or 2")
        yield Sentence(first, second, (word1, word2), int(answer) - 1)


def select(tasks: list[Sentence], n_tasks: int = 0) -> list[Sentence]:
    """The tasks that llama-perplexity takes, in its order; 0 means all."""
    return [tasks[i] for i in draw(len(tasks), n_tasks)] if 0 < n_tasks < len(tasks) else tasks


def encode(sentence: Sentence, vocab: Vocab) -> GapTask:
    whole = [vocab.encode(sentence.first + word + sentence.second) for word in sentence.words]
    n_shared = n_common(whole)
    counts_word = any(len(tokens) - n_shared <= ENOUGH for tokens in whole)
    behind = [len(vocab.encode(sentence.first + word)) for word in sentence.words]
    starts = [min(max(n, n_shared), len(tokens) - 1) for n, tokens in zip(behind, whole, strict=True)]
    return GapTask(
        sequences=([*whole[0], whole[1][n_shared]], whole[1]),
        n_shared=n_shared,
        starts=(n_shared, n_shared) if counts_word else (starts[0], starts[1]),
        counts_word=counts_word,
        right=sentence.right,
    )
