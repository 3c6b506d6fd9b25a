"""Continuous batching: requests join and leave one context at any time, and each gets what it would get alone.

One thread owns the context. Step by step it computes one token of each job that draws, and pieces of the prompts of
those that have just come, all in one batch. The same request gives the same tokens whatever runs beside it: the logits
do not depend on the batch, and what a job may use of the context does not depend on the others (see `room.py`).
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llamakit.core.engine.scheduler.errands import Errand
from llamakit.core.engine.scheduler.errors import QueueFull, SchedulerClosed
from llamakit.core.engine.scheduler.event import Cancelled, End, Failed
from llamakit.core.engine.scheduler.job import AnyJob, EmbeddingJob, Job
from llamakit.core.engine.scheduler.keeping import erase
from llamakit.core.engine.scheduler.request import EmbeddingRequest, Request, Scales
from llamakit.core.engine.scheduler.slot import Slot, SlotState
from llamakit.core.engine.scheduler.stats import SlotInfo, Stats
from llamakit.core.engine.scheduler.steps import Steps
from llamakit.core.kernels.kv_cells import BLOCK
from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.core.engine.adapters import Adapter
    from llamakit.core.engine.context import Context
    from llamakit.core.engine.speculation import Guesser
    from llamakit.core.vocab.base import Vocab

log = logging.getLogger(__name__)


class Scheduler:
    """Serves jobs on all sequences of a context, which nobody else may touch until `close`.

    Up to context.n_seq_max jobs run at once, and n_queue_max more may wait, in the order they came. While others
    draw, at most n_prefill_beside tokens of prompts are computed in a step, so that they need not wait long. Prompts
    that begin alike are computed once. `adapters` are those that requests may name; `adapter_scales` holds for those
    that name none. A `guesser` makes texts come sooner, see `speculation`; models whose layers remember do without. A
    context without a head, as of an encoder, serves embeddings only.
    """

    def __init__(
        self,
        context: Context,
        vocab: Vocab,
        *,
        n_queue_max: int = 1024,
        n_prefill_beside: int = 128,
        adapters: Mapping[str, Adapter] | None = None,
        guesser: Guesser | None = None,
    ) -> None:
        self.context, self.vocab, self.n_queue_max = context, vocab, n_queue_max
        self._steps = Steps(context, vocab, n_prefill_beside, adapters or {}, guesser)
        self.slots, self.tree = self._steps.slots, self._steps.tree
        self.last_step = time.monotonic()  # when the last step began
        self._changed = threading.Condition()  # guards all that follows
        self._queue: deque[AnyJob] = deque()
        self._errands: list[Errand] = []
        self._n_submitted = 0
        self._is_open, self._is_draining, self._is_over = True, False, False
        self._is_asleep, self._was_woken = False, False
        self._thread = threading.Thread(target=self._live, name="scheduler", daemon=True)
        self._thread.start()

    # for other threads
    def submit(self, request: Request, notify: Callable[[], None] | None = None) -> Job:
        """Let a request be served; returns at once. `notify`: see Job.

        Raises UsageError for a prompt that makes no sense or does not fit the context, QueueFull, SchedulerClosed.
        """
        return self.submit_many([request], notify)[0]

    def submit_many(self, requests: Sequence[Request], notify: Callable[[], None] | None = None) -> list[Job]:
        """All of some requests, or none: several continuations of a prompt, which is computed once, or several prompts.

        Raises what `submit` does.
        """
        for request in requests:
            self.check(request.tokens, request.n_keep)
            self._check_place(request)
        with self._changed:
            self._check_open(len(requests))
            jobs = [Job(request, self._next_number(), self._wake, notify) for request in requests]
            self._enqueue(jobs)
        return jobs

    def submit_embedding(self, request: EmbeddingRequest, notify: Callable[[], None] | None = None) -> EmbeddingJob:
        """Let a text be made a vector, or a score. Raises UsageError, ModelError for a pooling that the model cannot,
        QueueFull, SchedulerClosed."""
        self.check_tokens(request.tokens)
        self._check_place(request)
        most = self.context.n_ctx if self.context.model.decoder.is_causal else self.context.n_ubatch
        if len(request.tokens) > most:
            raise UsageError(f"the text has {len(request.tokens)} tokens, and no more than {most} fit (-c, -ub)")
        with self._changed:
            self._steps.pool(request)
            self._check_open(1)
            job = EmbeddingJob(request, self._next_number(), self._wake, notify)
            self._enqueue([job])
        return job

    def check(self, tokens: Sequence[int], n_keep: int | None) -> None:
        """Raises UsageError unless the prompt can be computed."""
        self.check_tokens(tokens)
        n_ctx = self.context.n_ctx
        if not self.context.has_head:
            raise UsageError(f"a {self.context.model.decoder.arch} model makes vectors of texts, it continues none")
        if len(tokens) > n_ctx and (n_keep is None or not self.context.can_shift):
            raise UsageError(
                f"the prompt has {len(tokens)} tokens, the context {n_ctx}; shorten it, or use a larger -c"
            )

    def check_tokens(self, tokens: Sequence[int]) -> None:
        """Raises UsageError unless there are some, and all are tokens."""
        if not tokens:
            raise UsageError("the prompt is empty: at least one token is needed")
        n_vocab = self.context.n_vocab
        if outside := [token for token in tokens if not 0 <= token < n_vocab]:
            raise UsageError(f"token {outside[0]} is not in the vocabulary of {n_vocab} tokens")

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

    @property
    def is_open(self) -> bool:
        """Whether it takes requests: until `close`, or a mistake of ours ends it."""
        return self._is_open

    @property
    def seconds_stuck(self) -> float:
        """How long the present step has lasted; 0 while there is nothing to do."""
        return 0.0 if self._is_asleep else time.monotonic() - self.last_step

    def stats(self) -> Stats:
        steps, pool = self._steps, self.context.cache.pool
        return Stats(
            counters=replace(steps.counters), n_submitted=self._n_submitted, n_waiting=self.n_waiting,
            n_running=self.n_running, n_slots=len(self.slots), n_blocks=pool.n_blocks, n_blocks_free=pool.n_free,
            n_blocks_kept=len(steps.tree.nodes), block_size=BLOCK, n_swaps=steps.room.n_swaps,
        )  # fmt: skip

    def slots_info(self) -> list[SlotInfo]:
        return [slot.info() for slot in self.slots]

    @property
    def guesses(self) -> bool:
        """Whether tokens are guessed."""
        return self._steps.speculator is not None

    @property
    def adapter_scales(self) -> Scales:
        """Adapters with their scales, for requests that name none; scales of 0 are left out."""
        return self._steps.default_scales

    def set_adapter_scales(self, scales: Mapping[str, float]) -> None:
        """What holds for requests that name no adapters, from the next one on; those that are not named get 0."""
        self._steps.default_scales = self._steps.adapters.normal(scales)

    def save_slot(self, slot: int, path: str | os.PathLike[str]) -> tuple[int, int]:
        """Write what the cache still has of an idle slot's last text to a file; waits until it is idle.

        Returns the number of tokens and of bytes. Raises GGUFError for what the system refuses.
        """
        found: tuple[int, int] = self.between_steps(lambda: self._steps.save(self.slots[slot], path), slot)
        return found

    def restore_slot(self, slot: int, path: str | os.PathLike[str]) -> tuple[int, int]:
        """Let later requests begin with what `save_slot` wrote. Returns the number of tokens and of bytes.

        Raises StateError for a file that is none, or of another model; ModelError when there is no room.
        """
        found: tuple[int, int] = self.between_steps(lambda: self._steps.restore(self.slots[slot], path), slot)
        return found

    def recall(self, tokens: Sequence[int], slot: int = 0) -> tuple[int, bytes]:
        """What the cache has of a text's beginning, as bytes, and how many tokens that are; waits for an idle slot."""
        found: tuple[int, bytes] = self.between_steps(lambda: self._steps.to_bytes(self.slots[slot], tokens), slot)
        return found

    def learn(self, state: bytes, slot: int = 0) -> int:
        """Let later requests begin with what `recall` gave; returns how many tokens that are. Raises StateError."""
        n: int = self.between_steps(lambda: self._steps.from_bytes(self.slots[slot], state), slot)
        return n

    def erase_slot(self, slot: int) -> int:
        """Forget an idle slot's last text, as far as no other shares it; returns how many tokens are gone."""
        found: int = self.between_steps(lambda: erase(self.slots[slot]), slot)
        return found

    def between_steps(self, run: Callable[[], Any], slot: int | None = None) -> Any:
        """Let the scheduler's thread call something between two steps, when a slot is idle if one is named; waits for
        what it returns or raises."""
        if slot is not None and not 0 <= slot < len(self.slots):
            raise UsageError(f"there is no slot {slot}: they are 0 to {len(self.slots) - 1}")
        errand = Errand(run, slot)
        with self._changed:
            if self._is_over:
                raise SchedulerClosed("the scheduler is closed")
            self._errands.append(errand)
            self._changed.notify()
        return errand.future.result()

    def close(self, *, drain: bool = False) -> None:
        """Take no more requests, and end: at once, cancelling all jobs, or with `drain` when they are done.

        Returns when the thread has ended; the context is the caller's again, all of its cache free. A second call
        cancels what drains.
        """
        with self._changed:
            self._is_open, self._is_draining = False, drain
            self._changed.notify()
        self._thread.join()
        self.tree.clear()

    def __enter__(self) -> Scheduler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wake(self) -> None:
        with self._changed:
            self._was_woken = True
            self._changed.notify()

    def _check_place(self, request: Request | EmbeddingRequest) -> None:
        self._steps.adapters.normal(request.adapters or ())
        if request.slot is not None and not 0 <= request.slot < len(self.slots):
            raise UsageError(f"there is no slot {request.slot}: they are 0 to {len(self.slots) - 1}")

    def _check_open(self, n: int) -> None:
        if not self._is_open:
            raise SchedulerClosed("the scheduler is closed: no more requests are taken")
        n_open, n_most = self.n_running + self.n_waiting, len(self.slots) + self.n_queue_max
        if n_open + n > n_most:
            self._steps.counters.n_refused += n
            raise QueueFull(f"{n_open} requests are running or waiting, and no more than {n_most} may; try again later")

    def _next_number(self) -> int:
        self._n_submitted += 1
        return self._n_submitted

    def _enqueue(self, jobs: Sequence[AnyJob]) -> None:
        self._queue += jobs
        self._changed.notify()

    # the thread
    def _live(self) -> None:
        end: End = Cancelled()
        try:
            self._steps.prepare()
            while self._await_work():
                self._run_errands()
                self._drop_cancelled()
                self._admit()
                self._steps.compute()
        except Exception as error:  # a mistake of ours: whoever waits must hear of it
            log.exception("the scheduler ends")
            end = Failed(error)
        with self._changed:
            self._is_open, self._is_over = False, True
            left, self._errands = self._errands, []
        for slot in self.slots:
            if slot.job is not None:
                slot.release(end)
        self._give_up(self._queue, end)
        self._queue.clear()
        for errand in left:
            errand.future.set_exception(SchedulerClosed("the scheduler is closed"))

    def _await_work(self) -> bool:
        """Sleep until there is something to do; False when the thread shall end."""
        with self._changed:
            while self._is_open or (self._is_draining and (self._queue or self.n_running)):
                if self._has_work():
                    self._is_asleep, self._was_woken, self.last_step = False, False, time.monotonic()
                    return True
                self._is_asleep = True
                self._changed.wait()
        return False

    def _has_work(self) -> bool:
        can_go_on = any(slot.job is not None and not slot.job.is_stalled for slot in self.slots)
        return can_go_on or self._was_woken or bool(self._queue and self._next_job()) or any(self._due_errands())

    def _due_errands(self) -> list[Errand]:
        return [e for e in self._errands if e.slot is None or self.slots[e.slot].state is SlotState.IDLE]

    def _run_errands(self) -> None:
        if not self._errands:
            return
        with self._changed:
            due = self._due_errands()
            self._errands = [errand for errand in self._errands if errand not in due]
        for errand in due:
            errand.do()

    def _drop_cancelled(self) -> None:
        self._steps.drop_cancelled()
        if not self._queue:
            return
        with self._changed:
            dropped = [job for job in self._queue if job.is_cancelled]
            for job in dropped:
                self._queue.remove(job)
        self._give_up(dropped, Cancelled())

    def _give_up(self, jobs: Iterable[AnyJob], end: End) -> None:
        """Of those that wait."""
        for job in jobs:
            self._steps.give_up(job, end)

    def _next_job(self) -> tuple[AnyJob, Slot] | None:
        """The one that waits longest of those that an idle slot can serve."""
        if self.n_running == len(self.slots):  # nobody need look through a long queue
            return None
        taken = [errand.slot for errand in self._errands if errand.slot is not None]
        pairs = ((job, self._steps.idle_slot(job, taken)) for job in self._queue)
        return next(((job, slot) for job, slot in pairs if slot is not None), None)

    def _admit(self) -> None:
        """Give idle slots to those who wait longest."""
        while self._queue:
            with self._changed:
                found = self._next_job()
                if found is None:
                    return
                self._queue.remove(found[0])
            self._steps.start(*found)
