"""One context for two ways of computing: a thread alone, token by token, or many at once through a scheduler."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from llamakit.core.engine.scheduler import EmbeddingJob, EmbeddingRequest, Job, Request, SchedulerClosed
from llamakit.core.engine.scheduler.scheduler import Scheduler
from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.core.engine.adapters import Adapter
    from llamakit.core.engine.context import Context
    from llamakit.core.engine.speculation import Guesser
    from llamakit.core.vocab.base import Vocab

Tokens = npt.NDArray[np.int32]
CLOSED = "nothing to compute with: the model is closed, or was opened with vocab_only=True"
PATIENCE = 0.002  # seconds between two looks whether all jobs have ended


class SharedContext:
    """Any thread may call. Jobs of many threads make one batch; who computes alone waits until they have ended."""

    def __init__(
        self, context: Context, vocab: Callable[[], Vocab], guesser: Callable[[], Guesser] | None = None
    ) -> None:
        self._context: Context | None = context
        self._vocab, self._guesser = vocab, guesser
        self._adapters: dict[str, Adapter] = {}
        self._scales: dict[str, float] = {}
        self._lock = threading.RLock()
        self._scheduler: Scheduler | None = None
        self._held: Tokens = np.zeros(0, np.int32)  # of the context's sequence

    @contextmanager
    def alone(self, tokens: Sequence[int] = ()) -> Iterator[Context]:
        """The context for the calling thread. Its sequence is what it had left there; after jobs, what they have
        computed of `tokens`.

        Raises UsageError when the model is closed.
        """
        with self._lock:
            if self._context is None:
                raise UsageError(CLOSED)
            self._end_scheduler(self._context, tokens)
            yield self._context

    def begin_like(self, tokens: Sequence[int] | Tokens) -> int:
        """Have the context's sequence hold nothing but what `tokens` begin with; returns how many that are.

        For who is alone with the context; `hold` says what he has computed.
        """
        assert self._context is not None, "nobody is alone with it"
        ids = np.asarray(tokens, np.int32)
        n = min(len(ids), len(self._held), self._context.n_past())
        others = np.flatnonzero(ids[:n] != self._held[:n])
        n = self._context.truncate(int(others[0]) if len(others) else n)
        self._held = ids[:n].copy()
        return n

    def hold(self, tokens: Sequence[int] | Tokens) -> None:
        """The context's sequence is of `tokens` now."""
        self._held = np.array(tokens, np.int32)

    def recall(self, tokens: Sequence[int]) -> tuple[int, bytes]:
        """What jobs have left of a text's beginning, see `Scheduler.recall`; nothing where none are served now."""
        scheduler = self._scheduler
        try:
            return (0, b"") if scheduler is None else scheduler.recall(tokens)
        except SchedulerClosed:  # somebody computes alone
            return 0, b""

    def learn(self, state: bytes) -> bool:
        """Let jobs begin with a state; False where none are served now. Raises StateError."""
        scheduler = self._scheduler
        try:
            return scheduler is not None and scheduler.learn(state) >= 0
        except SchedulerClosed:
            return False

    def submit(self, requests: Sequence[Request], notify: Callable[[], None] | None = None) -> list[Job]:
        """Continue prompts beside those of other threads. Raises what `Scheduler.submit_many` does."""
        with self._lock:
            return self._running().submit_many(requests, notify)

    def submit_embeddings(
        self, requests: Sequence[EmbeddingRequest], notify: Callable[[], None] | None = None
    ) -> list[EmbeddingJob]:
        """Make vectors of texts. Raises what `Scheduler.submit_embedding` does; then all are given up."""
        jobs: list[EmbeddingJob] = []
        with self._lock:
            scheduler = self._running()
            try:
                for request in requests:
                    jobs.append(scheduler.submit_embedding(request, notify))
            except Exception:
                for job in jobs:
                    job.cancel()
                raise
        return jobs

    def scheduler(self, tokens: Sequence[int] = ()) -> Scheduler:
        """The one that serves jobs now, started if need be: then with the context's sequence, which is of `tokens`."""
        with self._lock:
            return self._running(tokens)

    def add_adapter(self, name: str, adapter: Adapter, scale: float) -> None:
        """Compute with an adapter from now on. Raises ModelError where it does not fit."""
        with self.alone() as context:
            scales = {**self._scales, name: scale}
            adapters = {**self._adapters, name: adapter}
            context.set_adapters([(adapters[each], factor) for each, factor in scales.items() if factor])
            context.cache.clear()
            self._adapters, self._scales = adapters, scales

    def close(self) -> None:
        """End all that runs. A second call does nothing."""
        with self._lock:
            scheduler, self._scheduler, self._context = self._scheduler, None, None
        if scheduler is not None:
            scheduler.close()

    def _running(self, tokens: Sequence[int] = ()) -> Scheduler:
        if self._context is None:
            raise UsageError(CLOSED)
        if self._scheduler is not None and not self._scheduler.is_open:  # it has died; the log says of what
            self._end_scheduler(self._context, ())
        if self._scheduler is None:
            n = self.begin_like(tokens)
            state = self._context.save_state(tokens[:n]) if n else None
            self._context.cache.clear()
            guesser = None if self._guesser is None else self._guesser()
            self._scheduler = Scheduler(self._context, self._vocab(), adapters=self._adapters, guesser=guesser)
            self._scheduler.set_adapter_scales(self._scales)
            if state is not None:
                self._scheduler.learn(state)
        return self._scheduler

    def _end_scheduler(self, context: Context, tokens: Sequence[int]) -> None:
        """Wait for its jobs; those whose readers have gone away in the middle are given up."""
        scheduler = self._scheduler
        if scheduler is None:
            return
        while scheduler.is_alive and (scheduler.n_waiting or scheduler.n_running > n_stalled(scheduler)):
            time.sleep(PATIENCE)
        is_idle = scheduler.is_alive and not scheduler.n_running
        n, state = scheduler.recall(tokens) if tokens and is_idle else (0, b"")
        scheduler.close()
        self._scheduler = None
        context.cache.clear()
        if n:
            context.load_state(state)
        self.hold(tokens[:n])


def n_stalled(scheduler: Scheduler) -> int:
    return sum(slot.job is not None and slot.job.is_stalled for slot in scheduler.slots)
