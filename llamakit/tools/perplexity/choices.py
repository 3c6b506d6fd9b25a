"""Choosing among given continuations: by the log-probabilities of their tokens, many tasks in one decode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from llamakit.core.engine.context import Chunk, Outputs
from llamakit.core.kernels.kv_cells import BLOCK
from llamakit.errors import UsageError
from llamakit.tools.perplexity.scorer import Scorer, scored

if TYPE_CHECKING:
    from llamakit.core.engine.context import Context

Doubles = npt.NDArray[np.float64]

N_SEQ = 32  # sequences computed together, unless one task has more


class Task(Protocol):
    """Sequences of tokens that begin with the same n_shared ones, and how they are judged."""

    @property
    def sequences(self) -> Sequence[Sequence[int]]: ...

    @property
    def n_shared(self) -> int: ...

    def scores(self, logprobs: Sequence[Doubles]) -> Sequence[float]:
        """One score a choice, the higher the better. `logprobs[i]`: those of sequence i's tokens from n_shared on."""

    def is_right(self, choice: int) -> bool: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the model made of a task."""

    scores: tuple[float, ...]
    choice: int
    is_right: bool


@dataclass(frozen=True, slots=True)
class Endings:
    """A context with several endings; the one whose tokens have the best mean log-probability is chosen."""

    sequences: Sequence[Sequence[int]]
    n_shared: int
    right: frozenset[int]

    def scores(self, logprobs: Sequence[Doubles]) -> list[float]:
        return [float(ln_p.mean()) for ln_p in logprobs]

    def is_right(self, choice: int) -> bool:
        return choice in self.right


def n_common(sequences: Sequence[Sequence[int]]) -> int:
    """Tokens that all sequences begin with, without any sequence's last: of each something is left to score.

    Raises UsageError for sequences that share no token: there is nothing to foresee the first one from.
    """
    n = min(map(len, sequences)) - 1
    n = next((i for i in range(n) if len({tokens[i] for tokens in sequences}) > 1), n)
    if n < 1:
        raise UsageError("a task's choices share no token at their beginning: nothing tells how likely their first is")
    return n


def choose(context: Context, tasks: Sequence[Task]) -> Iterator[Outcome]:
    """The outcome of each task, in order. What a task's sequences share is computed once.

    The context needs `n_cells` positions and `n_sequences` sequences of the same tasks.
    """
    scorer, rest = Scorer(context), iter(tasks)
    waiting: list[Task] = list(islice(rest, 1))
    while waiting:
        batch, n_free, n_seq = [], context.cache.pool.n_blocks, context.cache.n_seq_max
        while waiting and n_blocks(waiting[0]) <= n_free and len(waiting[0].sequences) <= n_seq:
            n_free -= n_blocks(waiting[0])
            n_seq -= len(waiting[0].sequences)
            batch.append(waiting.pop())
            waiting += islice(rest, 1)
        if not batch:
            raise UsageError(f"a task needs {n_blocks(waiting[0]) * BLOCK} positions: use a longer context (-c)")
        for task, logprobs in zip(batch, continuations(context, scorer, batch), strict=True):
            scores = task.scores(logprobs)
            choice = int(np.argmax(scores))
            yield Outcome(tuple(scores), choice, task.is_right(choice))


def continuations(context: Context, scorer: Scorer, tasks: Sequence[Task]) -> list[list[Doubles]]:
    """For each task and each of its sequences the log-probabilities of its tokens from n_shared on."""
    prefixes, endings, targets = [], [], []
    seq = 0
    for task in tasks:
        n_before = task.n_shared - 1  # the last shared token is computed with each ending: it foresees the first
        if n_before:
            prefixes.append(Chunk(task.sequences[0][:n_before], seq, Outputs.NONE))
        for i, tokens in enumerate(task.sequences):
            endings.append(Chunk(tokens[n_before:-1], seq + i, Outputs.ALL))
            targets.append(np.array(tokens[task.n_shared :], np.int32))
        seq += len(task.sequences)
    context.cache.clear()
    for _ in context.slices(prefixes):
        pass
    for seq, task in zip(np.cumsum([0, *(len(t.sequences) for t in tasks)]).tolist(), tasks, strict=False):
        for i in range(1, len(task.sequences)):
            context.cache.fork(seq, seq + i)
    parts = scored(context, endings, np.concatenate(targets))
    nll = np.concatenate([scorer.nll(logits, wanted) for logits, wanted in parts])
    found = iter(np.split(-nll, np.cumsum([len(t) for t in targets])[:-1]))
    return [list(islice(found, len(task.sequences))) for task in tasks]


def n_blocks(task: Task) -> int:
    """Blocks of the cache that a task can need: a block that is shared in part is there once more for each sequence."""
    n_before = task.n_shared - 1
    return -(-n_before // BLOCK) + sum(-(-len(tokens) // BLOCK) - n_before // BLOCK for tokens in task.sequences)


def n_cells(tasks: Sequence[Task], wanted: int = 0) -> int:
    """Positions for a context that is to take these tasks: as wanted, or what the largest needs."""
    return max([wanted, *(n_blocks(task) * BLOCK for task in tasks)])


def n_sequences(tasks: Sequence[Task]) -> int:
    """Sequences for a context that is to take these tasks."""
    return max([N_SEQ, *(len(task.sequences) for task in tasks)])
