"""The engine's side: messages become jobs of a scheduler, and their events messages."""

from __future__ import annotations

import pickle
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from llamakit.core.engine.describe import file_type
from llamakit.core.engine.pooling import Pooling
from llamakit.core.engine.scheduler import Cancelled, Failed, Job, Usage
from llamakit.core.engine.scheduler.scheduler import Scheduler
from llamakit.errors import LlamakitError, UsageError
from llamakit.server.engine.errands import Errands
from llamakit.server.engine.messages import (
    Call,
    Cancel,
    EngineStats,
    FromEngine,
    GiveUp,
    ModelInfo,
    Read,
    Reply,
    Submit,
    ToEngine,
    Told,
)
from llamakit.server.engine.requests import Requests
from llamakit.server.engine.stream import WINDOW

if TYPE_CHECKING:
    from llamakit.core.engine.context import Context

BEAT = 1.0  # seconds between signs of life while there is work


class Running:
    """A job, the id its events go by, and how many more of them may be sent before the reader has read some."""

    def __init__(self, id: int, job: Job) -> None:
        self.id, self.job, self.window = id, job, WINDOW
        self.has_begun = False


class Host:
    """Serves messages over a scheduler. `send` is called by several threads."""

    def __init__(self, scheduler: Scheduler, send: Callable[[FromEngine], None], info: ModelInfo) -> None:
        self.scheduler, self.info, self._send = scheduler, info, send
        self._requests = Requests(scheduler.vocab, scheduler.context.n_vocab)
        pooling = Pooling[info.pooling.upper()] if info.pooling else None
        self._errands = Errands(scheduler, pooling, tuple(path for path, _ in info.adapters))
        self._compiling = ThreadPoolExecutor(1, "compiling")  # of grammars, and of the kernels of rare samplers
        self._running: dict[int, Running] = {}
        self._becoming: dict[int, bool] = {}  # ids for which something is compiled; are they still wanted?
        self._lock = threading.Lock()  # guards both
        self._calls: dict[int, threading.Event] = {}  # set when the answer is no longer wanted
        self._with_news: deque[int] = deque()
        self._news = threading.Event()
        self._is_closing = False
        self._sender = threading.Thread(target=self._tell, name="sender", daemon=True)
        self._sender.start()

    def handle(self, message: ToEngine) -> None:
        """What a message asks for; from one thread only."""
        if isinstance(message, Submit):
            if self._requests.is_quick(message.generation):
                self._submit(message)
            else:
                self._becoming.update(dict.fromkeys(message.ids, True))
                self._compiling.submit(self._submit, message)
        elif isinstance(message, Cancel):
            for id in message.ids:
                self._cancel(id)
        elif isinstance(message, Read):
            if (running := self._running.get(message.id)) is not None:
                running.window += message.n
                self._note(message.id)
        elif isinstance(message, Call):
            self._calls[message.number] = threading.Event()
            threading.Thread(target=self._answer, args=(message,), name=message.name, daemon=True).start()
        elif isinstance(message, GiveUp) and (given_up := self._calls.get(message.number)) is not None:
            given_up.set()

    @property
    def is_busy(self) -> bool:
        """Whether anybody waits for it: its sender gives signs of life then."""
        n_jobs = self.scheduler.n_running + self.scheduler.n_waiting
        return bool(n_jobs or self._becoming or self._calls)

    def close(self) -> None:
        """Give up all that runs; nothing more is sent."""
        for running in [*self._running.values()]:
            running.job.cancel()
        self._compiling.shutdown(cancel_futures=True)
        self._is_closing = True
        self._news.set()
        self._sender.join()

    def _cancel(self, id: int) -> None:
        with self._lock:
            running = self._running.get(id)
            if running is None and id in self._becoming:
                self._becoming[id] = False
        if running is not None:
            running.job.cancel()

    def _submit(self, message: Submit) -> None:
        """Make jobs of a generation, unless nobody wants it any more."""
        ids = message.ids
        try:
            if not any(self._becoming.get(id, True) for id in ids):
                return self._end(message, Cancelled())
            made = self._requests.of(message.generation, len(ids))
            requests = [replace(request, tag=id) for request, id in zip(made, ids, strict=True)]
            jobs = self.scheduler.submit_many(requests, lambda: self._note(*ids))
        except Exception as error:
            return self._end(message, Failed(portable(error)))
        with self._lock:
            self._running.update((id, Running(id, job)) for id, job in zip(ids, jobs, strict=True))
            unwanted = [id for id in ids if not self._becoming.pop(id, True)]
        for id in unwanted:
            self._cancel(id)
        self._note(*ids)  # of what came before they were known

    def _end(self, message: Submit, end: Failed | Cancelled) -> None:
        """Nothing comes of a generation."""
        for id in message.ids:
            self._becoming.pop(id, None)
        usages = [(id, Usage(len(message.generation.tokens))) for id in message.ids]
        self._send(Told([(id, end) for id in message.ids], usages))

    def _answer(self, call: Call) -> None:
        try:
            if call.name not in Errands.NAMES:
                raise UsageError(f"{call.name}: an engine cannot be asked for that")
            value = getattr(self._errands, call.name)(self._calls[call.number], *call.arguments)
            reply = Reply(call.number, value)
        except Exception as error:
            reply = Reply(call.number, None, portable(error))
        del self._calls[call.number]
        if call.name == "embed":  # it has computed, and no stream tells of it
            self._send(Told([], [], self._stats()))
        self._send(reply)

    # the sender's thread
    def _note(self, *ids: int) -> None:
        """Jobs may have news; from any thread."""
        self._with_news += ids
        if not self._news.is_set():  # else the sender is about to look
            self._news.set()

    def _tell(self) -> None:
        was_busy = False
        while not self._is_closing:
            if not self.scheduler.is_alive:
                raise RuntimeError("the scheduler has ended")
            has_news = self._news.wait(BEAT)
            self._news.clear()
            told = self._collected()
            is_busy = self.is_busy
            if told.usages or (not has_news and (is_busy or was_busy)):
                told.stats, was_busy = self._stats(), is_busy
            if told.events or told.stats:
                self._send(told)

    def _collected(self) -> Told:
        told, ids = Told([], []), dict[int, None]()
        while self._with_news:
            ids[self._with_news.popleft()] = None
        for id in ids:  # what they tell from now on is noted again
            if (running := self._running.get(id)) is not None:
                self._collect(running, told)
        return told

    def _collect(self, running: Running, told: Told) -> None:
        """The events of a job that its reader has room for."""
        job = running.job
        while running.window > 0 and job.has_news:
            event = job.next_event()
            running.window -= 1
            is_end = event is job.end
            if is_end or not running.has_begun:
                told.usages.append((running.id, copy(job.usage)))
                running.has_begun = True
            told.events.append((running.id, Failed(portable(event.error)) if isinstance(event, Failed) else event))
            if is_end:
                del self._running[running.id]
                return

    def _stats(self) -> EngineStats:
        n_held = sum(slot.n_past for slot in self.scheduler.slots_info() if slot.state != "IDLE")
        return EngineStats(self.scheduler.stats(), n_held, self.scheduler.seconds_stuck, time.monotonic())


def portable(error: Exception) -> Exception:
    """An error that can be sent: itself, or one that says the same."""
    try:
        return error if type(pickle.loads(pickle.dumps(error))) is type(error) else LlamakitError(str(error))
    except Exception:
        return LlamakitError(str(error)) if isinstance(error, LlamakitError) else RuntimeError(repr(error))


def model_info(
    context: Context,
    adapters: tuple[tuple[str, float], ...] = (),
    pooling: str = "",
    n_ctx_request: int | None = None,
    n_input_max: int | None = None,
) -> ModelInfo:
    model, n_ctx = context.model, min(n_ctx_request or context.n_ctx, context.n_ctx)
    return ModelInfo(
        path=str(model.path),
        arch=model.arch,
        description=model.description,
        file_type=file_type(model.metadata),
        n_vocab=context.n_vocab,
        n_embd=model.hparams.n_embd,
        n_ctx_train=model.n_ctx_train,
        n_params=model.n_params,
        n_bytes=model.n_bytes,
        n_ctx=n_ctx,
        n_batch=context.n_batch,
        n_ubatch=context.n_ubatch,
        n_slots=context.cache.n_seq_max,
        can_shift=context.can_shift,
        pooling=pooling,
        adapters=adapters,
        n_prompt_max=n_input_max,
        is_divided=n_ctx < context.n_ctx,
    )
