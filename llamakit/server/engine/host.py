"""The engine's side: messages become jobs of a scheduler, and their events messages."""

from __future__ import annotations

import pickle
import threading
import time
from collections import deque
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from queue import Empty
from typing import TYPE_CHECKING

from llamakit.core.engine.describe import file_type
from llamakit.core.engine.scheduler import Event, Failed, Job, Request, Scheduler, Usage
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.params import RANDOM_SEED
from llamakit.core.sampling.reasoning_budget import ReasoningBudget
from llamakit.core.sampling.seed import choose_seed
from llamakit.errors import LlamakitError, UsageError
from llamakit.server.engine.messages import (
    Call,
    Cancel,
    EngineStats,
    FromEngine,
    ModelInfo,
    Read,
    Reply,
    Submit,
    ToEngine,
    Told,
)
from llamakit.server.engine.stream import WINDOW

if TYPE_CHECKING:
    from llamakit.core.engine.context import Context
    from llamakit.core.sampling.chain import Constraint
    from llamakit.server.engine.generation import Budget, Generation


class Running:
    """A job, the id its events go by, and how many more of them may be sent before the reader has read some."""

    def __init__(self, id: int, job: Job) -> None:
        self.id, self.job, self.window = id, job, WINDOW
        self.has_begun = False


class Host:
    """Serves messages over a scheduler. `send` is called by a thread of its own."""

    def __init__(self, scheduler: Scheduler, send: Callable[[FromEngine], None], info: ModelInfo) -> None:
        self.scheduler, self.info, self._send = scheduler, info, send
        self._running: dict[int, Running] = {}
        self._with_news: deque[int] = deque()
        self._news = threading.Event()
        self._is_closing = False
        self._sender = threading.Thread(target=self._tell, name="sender", daemon=True)
        self._sender.start()

    def handle(self, message: ToEngine) -> None:
        """What a message asks for; from one thread only."""
        if isinstance(message, Submit):
            self.submit(message)
        elif isinstance(message, Cancel):
            for id in message.ids:
                if (running := self._running.get(id)) is not None:
                    running.job.cancel()
        elif isinstance(message, Read):
            if (running := self._running.get(message.id)) is not None:
                running.window += message.n
                self._note(message.id)
        elif isinstance(message, Call):
            try:
                raise UsageError(f"{message.name}: not supported by this server")
            except Exception as error:
                self._send(Reply(message.number, None, portable(error)))

    def submit(self, message: Submit) -> None:
        for place, id in enumerate(message.ids):
            try:
                request = self.request(message.generation, place)
                job = self.scheduler.submit(request, lambda id=id: self._note(id))  # type: ignore[misc]
            except Exception as error:
                usage = Usage(len(message.generation.tokens))
                self._send(Told([(id, Failed(portable(error)))], [(id, usage)], self.stats()))
                continue
            self._running[id] = Running(id, job)
            self._note(id)

    def request(self, g: Generation, place: int) -> Request:
        """The place-th continuation of a prompt."""
        params = g.sampling
        if place:
            params = replace(params, seed=(choose_seed(params.seed) + place) % RANDOM_SEED)
        vocab = self.scheduler.vocab
        sampler = Sampler(
            params,
            self.scheduler.context.n_vocab,
            vocab.eog_ids,
            constraint=self.matcher(g),
            vocab=vocab,
            budget=budget(g.budget),
            constraint_is_lazy=g.constraint_sleeps,
        )
        return Request(
            g.tokens, sampler, n_predict=g.n_predict, stop=g.stop, n_keep=g.n_keep, n_logprobs=g.n_logprobs,
            show_special=g.show_special, use_cache=g.use_cache, n_prompt_logprobs=g.n_prompt_logprobs,
            scores_after_sampling=g.post_sampling_probs, tells_progress=g.tells_progress, salt=g.salt,
            adapters=None if g.adapters is None else tuple((str(i), scale) for i, scale in g.adapters), slot=g.slot,
            n_discard=g.n_discard, t_max_predict=g.t_max_predict, n_indent=g.n_indent, speculate=g.speculate,
        )  # fmt: skip

    def matcher(self, g: Generation) -> Constraint | None:
        if g.constraint is None:
            return None
        from llamakit.core.grammar.grammar import Grammar

        grammar, vocab = Grammar(g.constraint.rules), self.scheduler.vocab
        if g.constraint.triggers is None:
            return grammar.matcher(vocab)
        return grammar.lazy_matcher(vocab, g.constraint.triggers)

    def stats(self) -> EngineStats:
        return EngineStats(self.scheduler.n_running, self.scheduler.n_waiting, time.monotonic())

    def close(self) -> None:
        """Give up all that runs; nothing more is sent."""
        for running in [*self._running.values()]:
            running.job.cancel()
        self._is_closing = True
        self._news.set()
        self._sender.join()

    # the sender's thread
    def _note(self, id: int) -> None:
        """A job has news; from any thread."""
        self._with_news.append(id)
        self._news.set()

    def _tell(self) -> None:
        while not self._is_closing:
            self._news.wait()
            self._news.clear()
            events: list[tuple[int, Event]] = []
            usages: list[tuple[int, Usage]] = []
            seen: set[int] = set()
            while self._with_news:
                id = self._with_news.popleft()
                if id not in seen and (running := self._running.get(id)) is not None:
                    seen.add(id)
                    self._collect(running, events, usages)
            if events or usages:
                self._send(Told(events, usages, self.stats()))

    def _collect(self, running: Running, events: list[tuple[int, Event]], usages: list[tuple[int, Usage]]) -> None:
        """The events of a job that its reader has room for."""
        job = running.job
        while running.window > 0:
            try:
                event = job.next_event(0)
            except Empty:
                return
            running.window -= 1
            is_end = event is job.end
            if is_end or not running.has_begun:
                usages.append((running.id, copy(job.usage)))
                running.has_begun = True
            events.append((running.id, Failed(portable(event.error)) if isinstance(event, Failed) else event))
            if is_end:
                del self._running[running.id]
                return


def budget(b: Budget | None) -> ReasoningBudget | None:
    if b is None:
        return None
    made = ReasoningBudget(b.starts, b.ends, b.forced_end, b.n_tokens)
    if b.is_open:
        made.begin()
    return made


def portable(error: Exception) -> Exception:
    """An error that can be sent: itself, or one that says the same."""
    try:
        return error if type(pickle.loads(pickle.dumps(error))) is type(error) else LlamakitError(str(error))
    except Exception:
        return LlamakitError(str(error)) if isinstance(error, LlamakitError) else RuntimeError(repr(error))


def model_info(context: Context, adapters: tuple[tuple[str, float], ...] = ()) -> ModelInfo:
    model = context.model
    return ModelInfo(
        path=str(model.path), arch=model.arch, description=model.description, file_type=file_type(model.metadata),
        n_vocab=context.n_vocab, n_embd=model.hparams.n_embd, n_ctx_train=model.n_ctx_train, n_params=model.n_params,
        n_bytes=model.n_bytes, n_ctx=context.n_ctx, n_batch=context.n_batch, n_ubatch=context.n_ubatch,
        n_slots=context.cache.n_seq_max, can_shift=context.can_shift, adapters=adapters,
    )  # fmt: skip
