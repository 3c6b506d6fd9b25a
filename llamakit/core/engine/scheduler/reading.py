"""What is done with the rows that a job's tokens give: tokens are drawn from logits, vectors made of states."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from llamakit.core.engine.context import Outputs
from llamakit.core.engine.generate import Finish, Piece
from llamakit.core.engine.pooling import Pooling, normalized
from llamakit.core.engine.scheduler.ending import Ending
from llamakit.core.engine.scheduler.event import Embedded, PromptScores, Score, ScoredPiece
from llamakit.core.sampling.logprobs import logprobs, top_logprobs
from llamakit.core.vocab.stream import TextStream

if TYPE_CHECKING:
    from llamakit.core.engine.pooling import Pool
    from llamakit.core.engine.scheduler.job import EmbeddingJob, Job
    from llamakit.core.vocab.base import Vocab

Floats = npt.NDArray[np.float32]
LEAST = -690.0  # log-probability where there is none: JSON has no infinity


class Reader(Protocol):
    """Of one job."""

    is_hidden: bool  # reads states, not logits
    finish: Finish | None  # set when the job has ended

    def outputs(self, first: int, n: int) -> Outputs | range:
        """Which of n tokens of the prompt, from place `first` on, shall give a row."""

    def see(self, row: Floats) -> None:
        """One of these rows, in order; it may be kept until `read`."""

    def read(self, guesses: list[int]) -> list[int]:
        """All that were asked for are there, after the prompt's last token or later: which tokens come next.

        With rows of guessed tokens behind that of the last one, as many of them as are right, and one more.
        """

    def text_left(self) -> str: ...


class Continuation:
    """Draws the tokens of one request, and tells what they say."""

    is_hidden = False

    def __init__(self, job: Job, vocab: Vocab) -> None:
        self.job, self.request, self.vocab = job, job.request, vocab
        self.text = TextStream(vocab, special=job.request.show_special)
        self.ending = job.ending = Ending(job.request)
        self.finish: Finish | None = None
        self.rows: list[Floats] = []
        self.is_drawn = False  # the sampler has chosen from the first row
        self.scores: list[Score] | None = None if job.request.n_prompt_logprobs is None else []
        job.request.sampler.accept_prompt(job.request.tokens)

    def outputs(self, first: int, n: int) -> Outputs:
        if self.scores is not None:
            return Outputs.ALL
        return Outputs.LAST if first + n == len(self.request.tokens) else Outputs.NONE

    def see(self, row: Floats) -> None:
        if self.scores is None or len(self.scores) == len(self.request.tokens) - 1:
            self.rows.append(row)
            return
        token = self.request.tokens[len(self.scores) + 1]
        self.scores.append(Score(token, *scored(row, token, self.request.n_prompt_logprobs or 0)))

    def read(self, guesses: list[int]) -> list[int]:
        usage = self.job.usage
        if self.scores is not None and usage.n_drawn == 0:
            self.job.tell(PromptScores(tuple(self.scores)))
        if usage.n_drawn == self.request.n_predict:  # only where it is 0
            self.finish = Finish.LENGTH
            self.rows.clear()
            return []
        drawn: list[int] = []
        for row, guess in zip(self.rows, [*guesses, None], strict=True):
            drawn.append(self.draw(row))
            if self.finish is not None or drawn[-1] != guess:
                break
        self.rows.clear()
        return drawn

    @property
    def is_plain(self) -> bool:
        """Whether there is one token to draw, and kernels suffice for it."""
        sampler = self.request.sampler
        is_one = len(self.rows) == 1 and self.job.usage.n_drawn != self.request.n_predict
        return is_one and sampler.is_plain and sampler.n_vocab == len(self.rows[0])

    def draw(self, logits: Floats) -> int:
        """The next token, from the logits of the last one.   logits: (n_vocab,)"""
        request, usage = self.request, self.job.usage
        sampler = request.sampler
        token = sampler.take(logits) if self.is_drawn else sampler.sample(logits)
        self.is_drawn = False
        sampler.accept(token)
        text, is_end = self.text.push(token), self.vocab.is_eog(token)
        usage.n_drawn += 1
        if usage.n_drawn == 1:
            usage.first_drawn = time.perf_counter()
        if text or not is_end:
            self.job.tell(self.piece(token, text, logits))
        if is_end:
            self.finish = Finish.END_OF_TEXT
        elif ended := self.ending.after(text):
            self.finish = ended
        elif usage.n_drawn == request.n_predict:
            self.finish = Finish.LENGTH
        return token

    def piece(self, token: int, text: str, logits: Floats) -> Piece:
        n = self.request.n_logprobs
        if n is None:
            return Piece(token, text)
        if not self.request.scores_after_sampling:
            return ScoredPiece(token, text, *scored(logits, token, n))
        own, ids, scores = self.request.sampler.scores_left(token, n)
        scores = np.maximum(scores, LEAST)
        return ScoredPiece(token, text, max(own, LEAST), tuple(zip(ids.tolist(), scores.tolist(), strict=True)))

    def text_left(self) -> str:
        return self.text.flush()


class Embedding:
    """Makes the vector of one text."""

    is_hidden = True

    def __init__(self, job: EmbeddingJob, pool: Pool) -> None:
        self.job, self.pool = job, pool
        self.finish: Finish | None = None
        self.rows: list[Floats] = []

    def outputs(self, first: int, n: int) -> range:
        wanted = self.pool.rows(len(self.job.tokens))
        start, stop = (min(max(end - first, 0), n) for end in (wanted.start, wanted.stop))
        return range(start, stop)

    def see(self, row: Floats) -> None:
        self.rows.append(row.copy())

    def read(self, guesses: list[int]) -> list[int]:
        vector = self.pool(np.stack(self.rows))
        if self.pool.kind is not Pooling.RANK:
            vector = normalized(np.atleast_2d(vector), self.job.request.norm).reshape(vector.shape)
        self.job.usage.first_drawn = time.perf_counter()
        self.job.tell(Embedded(vector))
        self.finish = Finish.LENGTH
        return []

    def text_left(self) -> str:
        return ""


def scored(logits: Floats, token: int, n: int) -> tuple[float, tuple[tuple[int, float], ...]]:
    """The log-probability of a token, and the n likeliest with theirs."""
    ids, scores = top_logprobs(logits, n)
    return float(logprobs(logits, [token])[0]), tuple(zip(ids.tolist(), scores.tolist(), strict=True))
