"""Continuous batching: requests join and leave one context at any time, and each gets what it would get alone.

One thread owns the context. Step by step it computes one token of each job that draws, and pieces of the prompts of
those that have just come, all in one batch. The same request gives the same tokens whatever runs beside it: the logits
do not depend on the batch, and what a job may use of the context does not depend on the others (see `room.py`).
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from llamakit.core.engine.context import Chunk, Outputs
from llamakit.core.engine.scheduler.event import Cancelled, End, Failed
from llamakit.core.engine.scheduler.job import Job
from llamakit.core.engine.scheduler.request import Request
from llamakit.core.engine.scheduler.room import Room
from llamakit.core.engine.scheduler.shares import shares
from llamakit.core.engine.scheduler.slot import Slot, SlotState
from llamakit.errors import LlamakitError, UsageError

if TYPE_CHECKING:
    from llamakit.core.engine.context import Context
    from llamakit.core.vocab.base import Vocab

log = logging.getLogger(__name__)
LIKE = 0.1  # of a prompt that an idle slot must have in its cache to be preferred, as in llama.cpp


class QueueFull(LlamakitError):
    """As many requests wait as may; a later try can succeed."""


class SchedulerClosed(LlamakitError):
    """No more requests are taken."""


class Scheduler:
    """Serves jobs on all sequences of a context, which nobody else may touch until `close`.

    Up to context.n_seq_max jobs run at once, the others wait in the order they came, at most n_queue_max. While others
    draw, at most n_prefill_beside tokens of prompts are computed in a step, so that they need not wait long.
    """

    def __init__(self, context: Context, vocab: Vocab, *, n_queue_max: int = 1024, n_prefill_beside: int = 128) -> None:
        self.context, self.vocab = context, vocab
        self.n_queue_max, self.n_prefill_beside = n_queue_max, n_prefill_beside
        self.slots = [Slot(context, vocab, seq) for seq in range(context.cache.n_seq_max)]
        self._room = Room(self.slots)
        self._changed = threading.Condition()  # guards all that follows
        self._queue: deque[Job] = deque()
        self._n_submitted = 0
        self._is_open, self._is_draining = True, False
        self._thread = threading.Thread(target=self._live, name="scheduler", daemon=True)
        self._thread.start()

    # for other threads
    def submit(self, request: Request, notify: Callable[[], None] | None = None) -> Job:
        """Let a request be served; returns at once. `notify`: see Job.

        Raises UsageError for a prompt that makes no sense or does not fit the context, QueueFull, SchedulerClosed.
        """
        self.check(request.tokens, request.n_keep)
        with self._changed:
            if not self._is_open:
                raise SchedulerClosed("the scheduler is closed: no more requests are taken")
            if len(self._queue) >= self.n_queue_max:
                raise QueueFull(f"{len(self._queue)} requests are waiting, no more may; try again later")
            self._n_submitted += 1
            job = Job(request, self._n_submitted, self._wake, notify)
            self._queue.append(job)
            self._changed.notify()
        return job

    def check(self, tokens: Sequence[int], n_keep: int | None) -> None:
        """Raises UsageError unless the prompt can be computed."""
        n_ctx, n_vocab = self.context.n_ctx, self.context.n_vocab
        if not tokens:
            raise UsageError("the prompt is empty: at least one token is needed")
        if outside := [token for token in tokens if not 0 <= token < n_vocab]:
            raise UsageError(f"token {outside[0]} is not in the vocabulary of {n_vocab} tokens")
        if len(tokens) > n_ctx and (n_keep is None or not self.context.can_shift):
            raise UsageError(
                f"the prompt has {len(tokens)} tokens, the context {n_ctx}; shorten it, or use a larger -c"
            )

    @property
    def n_waiting(self) -> int:
        """Jobs that no slot serves yet."""
        return len(self._queue)

    @property
    def n_running(self) -> int:
        return sum(slot.job is not None for slot in self.slots)

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def close(self, *, drain: bool = False) -> None:
        """Take no more requests, and end: at once, cancelling all jobs, or with `drain` when they are done.

        Returns when the thread has ended; the context is the caller's again. A second call cancels what drains.
        """
        with self._changed:
            self._is_open, self._is_draining = False, drain
            self._changed.notify()
        self._thread.join()

    def __enter__(self) -> Scheduler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify()

    # the thread
    def _live(self) -> None:
        end: End = Cancelled()
        try:
            self._prepare()
            while self._await_work():
                self._drop_cancelled()
                self._admit()
                self._compute()
        except Exception as error:  # a mistake of ours: whoever waits must hear of it
            log.exception("the scheduler ends")
            end = Failed(error)
        with self._changed:
            self._is_open = False
        for slot in self.slots:
            if slot.job is not None:
                slot.release(end)
        for job in self._queue:
            job.tell(end)
        self._queue.clear()

    def _prepare(self) -> None:
        """Have the program for several sequences compiled before the first request needs it."""
        if len(self.slots) > 1:
            self.context.decode([Chunk((0,), slot.seq) for slot in self.slots[:2]])
            self.context.cache.clear()

    def _await_work(self) -> bool:
        """Sleep until there is something to do; False when the thread shall end."""
        with self._changed:
            while True:
                if not self._is_open and not (self._is_draining and (self._queue or self.n_running)):
                    return False
                if self._has_work():
                    return True
                self._changed.wait()

    def _has_work(self) -> bool:
        jobs = [slot.job for slot in self.slots if slot.job is not None]
        can_admit = bool(self._queue) and len(jobs) < len(self.slots)
        is_cancelled = any(job.is_cancelled for job in (*jobs, *self._queue))
        return can_admit or is_cancelled or any(not job.is_stalled for job in jobs)

    def _drop_cancelled(self) -> None:
        for slot in self.slots:
            if slot.job is not None and slot.job.is_cancelled:
                slot.cancel()
        with self._changed:
            dropped = [job for job in self._queue if job.is_cancelled]
            for job in dropped:
                self._queue.remove(job)
        for job in dropped:
            job.tell(Cancelled())

    def _admit(self) -> None:
        """Give idle slots to those who wait longest."""
        while (idle := [slot for slot in self.slots if slot.state is SlotState.IDLE]) and self._queue:
            with self._changed:
                job = self._queue.popleft()
            slot = choose(idle, job.request)
            try:
                slot.start(job)
            except Exception as error:
                slot.fail(error)

    def _compute(self) -> None:
        """One step of all jobs that can go on, the oldest first."""
        slots = [slot for slot in self.slots if slot.job is not None and not slot.is_waiting]
        slots.sort(key=lambda slot: slot.working().number)
        parts = self._room.grant(self._parts(self._room.swap_in(slots)))
        if not parts:
            return
        try:
            drawing = [(slot, slot.advance(n)) for slot, n in parts]
            chunks = [
                Chunk(slot.session.tokens[-n:], slot.seq, Outputs.LAST if draws else Outputs.NONE)
                for (slot, n), (_, draws) in zip(parts, drawing, strict=True)
            ]
            logits = self.context.decode(chunks)
        except Exception as error:  # a mistake of ours, or no memory: nobody knows whose
            for slot, _ in parts:
                slot.fail(error)
            return
        for slot, row in zip([slot for slot, draws in drawing if draws], logits, strict=True):
            try:
                slot.draw(row)
            except Exception as error:  # of its sampler or grammar
                slot.fail(error)

    def _parts(self, slots: list[Slot]) -> list[tuple[Slot, int]]:
        """How many tokens each slot computes next."""
        wanted = []
        for slot in slots:
            try:
                if n := slot.n_wanted():
                    wanted.append((slot, n))
            except Exception as error:
                slot.fail(error)
        n_drawing = sum(slot.state is SlotState.DECODE for slot, _ in wanted)
        n_most = min(self.context.n_ubatch, self.n_prefill_beside + n_drawing) if n_drawing else self.context.n_ubatch
        given = shares([n for _, n in wanted], n_most)
        return [(slot, n) for (slot, _), n in zip(wanted, given, strict=True)]


def choose(idle: Sequence[Slot], request: Request) -> Slot:
    """The idle slot that has most of the prompt in its cache; where none has much, the least recently used."""
    tokens = list(request.tokens)
    if request.use_cache:
        best = max(idle, key=lambda slot: slot.n_common(tokens))
        if best.n_common(tokens) > LIKE * len(tokens):
            return best
    return min(idle, key=lambda slot: slot.last_used)
