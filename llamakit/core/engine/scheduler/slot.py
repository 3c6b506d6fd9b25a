"""One sequence of the context, and the job that it serves."""

from __future__ import annotations

import time
from enum import Enum
from typing import TYPE_CHECKING

from llamakit.core.engine.generate import Finish, Piece, Session, make_room, most_at_once, n_common, reuse
from llamakit.core.engine.scheduler.event import Cancelled, End, Ended, Failed, ScoredPiece
from llamakit.core.engine.scheduler.job import Job
from llamakit.core.sampling.logprobs import logprobs, top_logprobs
from llamakit.core.vocab.stream import TextStream
from llamakit.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from llamakit.core.engine.context import Context
    from llamakit.core.vocab.base import Vocab

    Floats = npt.NDArray[np.float32]


class SlotState(Enum):
    IDLE = "serves nobody; the cells of its last job may serve the next"
    PREFILL = "computes a prompt"
    DECODE = "draws tokens"
    SWAPPED = "waits, its cells moved out of the cache, until there is room"


class Slot:
    """A sequence of the context. Who calls any of this owns the context."""

    def __init__(self, context: Context, vocab: Vocab, seq: int) -> None:
        self.context, self.vocab, self.seq = context, vocab, seq
        self.state = SlotState.IDLE
        self.job: Job | None = None
        self.kept: list[int] = []  # tokens in the cache while idle
        self.last_used = 0.0

    def start(self, job: Job) -> None:
        """Serve a job, beginning with what the cache has of its prompt."""
        request = job.request
        if not request.use_cache:
            self.forget()
        text = TextStream(self.vocab, special=request.show_special)
        self.session = Session(
            self.context, self.vocab, request.sampler, text, self.seq, n_keep=request.n_keep, tokens=self.kept
        )
        self.n_ready = 0  # pending tokens that there is room for in the sequence
        self.n_unshifted = self.context.n_ctx  # leading positions that no shift has moved
        self.seen = ""  # the end of the text, in which stop texts are looked for
        self.cells = b""  # while swapped
        self.kept, self.job, self.state = [], job, SlotState.PREFILL
        self.session.pending = list(request.tokens)
        self.truncate(self.n_before_shift())
        self.session.pending = reuse(self.session, request.tokens)
        request.sampler.accept_prompt(request.tokens)
        job.usage.started = time.perf_counter()
        job.usage.n_cached = len(self.session.tokens)

    @property
    def n_past(self) -> int:
        """Positions in the cache."""
        return self.context.n_past(self.seq)

    @property
    def is_waiting(self) -> bool:
        """Whether its job could go on, but for its reader."""
        return self.job is not None and self.job.is_stalled

    def n_common(self, tokens: list[int]) -> int:
        """How many tokens of a prompt an idle slot has in the cache."""
        return n_common(self.kept, tokens)

    # computing
    def n_wanted(self) -> int:
        """How many tokens to compute next; 0 when a full context has ended the job. Raises ModelError where no shift
        can make room.

        A long prompt is cut, and the context shifted, where they are when the job is alone, whatever is computed at
        once.
        """
        session = self.session
        if self.n_ready == 0:
            n, n_before = self.n_at_once(), len(session.tokens)
            has_room = make_room(session, n)
            if len(session.tokens) < n_before:
                self.n_unshifted = min(self.n_unshifted, session.n_keep or 0)
            if not has_room and self.state is SlotState.DECODE:
                self.finish(Finish.CONTEXT_FULL)
                return 0
            if len(session.tokens) + n > self.context.n_ctx:
                raise ModelError(f"a context of {self.context.n_ctx} positions is full, and keeps {session.n_keep}")
            self.n_ready = n
        return self.n_ready

    def n_at_once(self) -> int:
        """How many of the pending tokens go together when the job is alone: before they do, the context may shift."""
        session, most = self.session, most_at_once(self.session)
        if self.state is SlotState.DECODE or session.n_keep is None:
            return len(session.pending)
        n_done = len(self.working().request.tokens) - len(session.pending)
        return min(len(session.pending), most - n_done % most)

    def n_before_shift(self) -> int:
        """How many tokens of a new prompt are in the cache when it first has to shift: no later ones can be reused."""
        n_prompt, most, n = len(self.session.pending), most_at_once(self.session), 0
        if n_prompt < self.context.n_ctx or self.session.n_keep is None:
            return n_prompt
        while n + most < self.context.n_ctx:
            n += most
        return n

    def truncate(self, n: int) -> None:
        """Keep the first n positions, if there are more."""
        if len(self.session.tokens) > n:
            del self.session.tokens[self.context.truncate(n, self.seq) :]

    def advance(self, n: int) -> bool:
        """n more tokens are being computed; is the last one's logits what the next token is drawn from?"""
        session = self.session
        session.tokens += session.pending[:n]
        del session.pending[:n]
        self.n_ready -= n
        return not session.pending

    def draw(self, logits: Floats) -> None:
        """The next token, from the logits of the last one.   logits: (n_vocab,)"""
        job, session = self.working(), self.session
        request = job.request
        if job.usage.n_drawn == request.n_predict:  # only where it is 0
            return self.finish(Finish.LENGTH)
        token = session.sampler.sample(logits)
        session.sampler.accept(token)
        session.pending.append(token)
        self.state = SlotState.DECODE
        job.usage.n_drawn += 1
        if job.usage.n_drawn == 1:
            job.usage.first_drawn = time.perf_counter()
        text, is_end = session.text.push(token), self.vocab.is_eog(token)
        if text or not is_end:
            job.tell(self.piece(token, text, logits))
        if is_end:
            self.finish(Finish.END_OF_TEXT)
        elif self.has_stopped(text):
            self.finish(Finish.STOP_TEXT)
        elif job.usage.n_drawn == request.n_predict:
            self.finish(Finish.LENGTH)

    def piece(self, token: int, text: str, logits: Floats) -> Piece:
        n = self.working().request.n_logprobs
        if n is None:
            return Piece(token, text)
        ids, scores = top_logprobs(logits, n)
        likeliest = tuple(zip(ids.tolist(), scores.tolist(), strict=True))
        return ScoredPiece(token, text, float(logprobs(logits, [token])[0]), likeliest)

    def has_stopped(self, text: str) -> bool:
        """Whether a stop text is there, now that `text` has come."""
        stops = self.working().request.stop
        if not stops:
            return False
        self.seen += text
        is_found = any(stop in self.seen for stop in stops)
        self.seen = self.seen[-max(map(len, stops)) :]
        return is_found

    # ends
    def finish(self, finish: Finish) -> None:
        self.release(Ended(finish, self.session.text.flush()))

    def cancel(self) -> None:
        self.release(Cancelled())

    def fail(self, error: Exception) -> None:
        self.release(Failed(error), is_sound=False)

    def release(self, end: End, is_sound: bool = True) -> None:
        """The job is over. What was computed stays for later ones, unless it is not sound or was moved by a shift."""
        job, tokens = self.working(), self.session.tokens
        n = min(len(tokens), self.n_unshifted) if is_sound and self.state is not SlotState.SWAPPED else 0
        self.job, self.state, self.cells = None, SlotState.IDLE, b""
        self.kept = tokens[: self.context.truncate(n, self.seq)]
        self.last_used = time.perf_counter()
        del self.session
        job.tell(end)

    def working(self) -> Job:
        assert self.job is not None, "a slot without a job"
        return self.job

    # room for others
    def forget(self) -> None:
        """Free the cells of an idle slot."""
        self.context.truncate(0, self.seq)
        self.kept = []

    def swap_out(self) -> None:
        """Free the cells of a job that others need more; `swap_in` brings them back, bit by bit."""
        try:
            self.cells = self.context.save_state((), self.seq)
        except Exception as error:  # no memory
            return self.fail(error)
        self.context.truncate(0, self.seq)
        self.state = SlotState.SWAPPED

    def swap_in(self) -> None:
        try:
            self.context.load_state(self.cells, self.seq)
        except Exception as error:
            return self.fail(error)
        self.cells = b""
        self.state = SlotState.DECODE if self.working().usage.n_drawn else SlotState.PREFILL
