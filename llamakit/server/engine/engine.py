"""One model's engine, as the routes see it: streams and answers in an event loop, whatever process computes them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

from llamakit.core.engine.scheduler import Failed, QueueFull, SchedulerClosed
from llamakit.errors import UsageError
from llamakit.server.engine.errors import EngineLoading, EngineLost, PromptTooLong
from llamakit.server.engine.generation import Generation
from llamakit.server.engine.messages import (
    Call,
    Cancel,
    EngineStats,
    FromEngine,
    GiveUp,
    ModelInfo,
    Read,
    Ready,
    Reply,
    Submit,
    ToEngine,
    Told,
)
from llamakit.server.engine.stream import Stream

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

log = logging.getLogger(__name__)

TICK = 1.0  # seconds between looks at an engine; while it has work, it is heard of as often
LONGEST_SILENCE = 60.0
LONGEST_STEP = 600.0  # of a large model, with a prompt's tokens in it
EUCLID = 2  # as `core.engine.pooling` names norms


class EngineState(Enum):
    LOADING = "the model is not there yet, or again not"
    READY = "requests are served"
    FAILED = "the model cannot be loaded"
    CLOSED = "no more requests are taken"


class Channel(Protocol):
    """The way to an engine and back. `receive` and `lost` are called in the loop that `start` is called in."""

    def start(self, receive: Callable[[FromEngine], None], lost: Callable[[str, bool], None]) -> None:
        """Start the engine. `lost(reason, is_final)` is called whenever it has ended by itself."""

    def send(self, message: ToEngine) -> None: ...

    def kill(self) -> None:
        """End an engine that does not answer."""

    def sleep(self) -> None:
        """End the engine until `wake`."""

    def wake(self) -> None:
        """Start it again. What is sent meanwhile waits for it."""

    async def close(self) -> None:
        """End the engine, and wait until it has ended."""


class Engine:
    """Serves generations. All methods are for the event loop that it was started in.

    At most `n_streams_max` streams are open at once. After `sleep_after` seconds without work the engine
    is ended, and its memory free, until `wake`.
    """

    def __init__(self, channel: Channel, n_queue_max: int = 1024, sleep_after: float | None = None) -> None:
        self.channel, self.n_queue_max, self.sleep_after = channel, n_queue_max, sleep_after
        self.is_asleep = self._is_waking = False
        self._used = time.monotonic()
        self.state = EngineState.LOADING
        self.why = "Loading model"  # not ready
        self.was_ready = False
        self.stats: EngineStats | None = None  # as last told
        self.n_restarts = 0
        self.streams: dict[int, Stream] = {}
        self._info: ModelInfo | None = None
        self._numbers = count(1)
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self.heartbeat_age = 0.0  # seconds since the engine was last heard of, while there is work
        self._changed: asyncio.Future[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Load the model; returns at once."""
        self.channel.start(self._receive, self._lost)
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def ready(self) -> None:
        """Wait until the model is loaded. Raises EngineLost when it cannot be."""
        while self.state is EngineState.LOADING:
            if self._changed is None or self._changed.done():
                self._changed = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._changed)
        self.check_ready()

    def check_ready(self) -> None:
        """Raises EngineLoading, EngineLost or SchedulerClosed unless requests are served."""
        if self.state is EngineState.LOADING:
            raise EngineLoading(self.why)
        if self.state is EngineState.FAILED:
            raise EngineLost(self.why)
        if self.state is EngineState.CLOSED:
            raise SchedulerClosed("the server ends: no more requests are taken")

    def wake(self) -> None:
        """There is work soon, or was now: a request for the model has come."""
        self._used = time.monotonic()
        if self.is_asleep:
            log.info("wakes up")
            self.is_asleep, self._is_waking = False, True
            self.channel.wake()

    @property
    def info(self) -> ModelInfo:
        """Raises EngineLoading until it is known."""
        if self._info is None:
            raise EngineLoading(self.why)
        return self._info

    @property
    def n_streams_max(self) -> int:
        """Answers that may run or wait. Raises EngineLoading until it is known."""
        return self.info.n_slots + self.n_queue_max

    @property
    def is_busy(self) -> bool:
        """Whether it works for anybody, or is about to."""
        return bool(self.streams or self._calls)

    # generating
    def submit(self, generation: Generation, n: int = 1) -> list[Stream]:
        """Continue a prompt n times, the seeds counting up. Returns at once.

        Raises PromptTooLong, UsageError for another prompt that makes no sense, QueueFull, and as `check_ready`.
        """
        self.check_ready()
        self.check_prompt(generation)
        self.wake()
        if self.info.is_divided:
            generation = replace(generation, n_ctx=self.info.n_ctx)
        most = self.n_streams_max
        if len(self.streams) + n > most:
            raise QueueFull(f"{len(self.streams)} requests are running or waiting, and no more than {most} may")
        streams = [Stream(next(self._numbers), generation, self._cancel, self._read) for _ in range(n)]
        self.streams.update((stream.id, stream) for stream in streams)
        self.channel.send(Submit(tuple(stream.id for stream in streams), generation))
        return streams

    def check_prompt(self, generation: Generation) -> None:
        """Raises PromptTooLong or UsageError unless the prompt can be computed."""
        tokens, info = generation.tokens, self.info
        if not tokens:
            raise UsageError("the prompt is empty: at least one token is needed")
        if outside := [token for token in tokens if not 0 <= token < info.n_vocab]:
            raise UsageError(f"token {outside[0]} is not in the vocabulary of {info.n_vocab} tokens")
        if info.n_prompt_max is not None and len(tokens) > info.n_prompt_max:
            raise PromptTooLong(len(tokens), info.n_prompt_max)
        may_shift = generation.n_keep is not None and info.can_shift
        if len(tokens) > info.n_ctx and not may_shift:
            raise PromptTooLong(len(tokens), info.n_ctx)

    def refuse(self) -> None:
        """Take no more requests; those that run go on."""
        if self.state is not EngineState.FAILED:
            self._set(EngineState.CLOSED)

    def end_all(self) -> None:
        """End those that run with an error."""
        for stream in [*self.streams.values()]:
            stream.cancel()
        error = SchedulerClosed("the server ends")
        self._fail(Failed(error), error)

    # all else
    async def embed(self, texts: Sequence[Sequence[int]], norm: int = EUCLID) -> list[Floats]:
        """A vector for each text, or for each of its tokens without pooling; scores where a model ranks.

        Raises UsageError for a text that is empty or too long.
        """
        n_most = self.info.n_ctx
        for text in texts:
            if len(text) > n_most:
                raise UsageError(
                    f"input ({len(text)} tokens) is too large to process. increase the physical batch size "
                    f"(current batch size: {n_most})"
                )
        vectors: list[Floats] = await self.call("embed", tuple(map(tuple, texts)), norm)
        return vectors

    async def slots(self) -> list[dict[str, Any]]:
        """What each sequence of the context does."""
        slots: list[dict[str, Any]] = await self.call("slots")
        return [{**slot, "n_ctx": min(slot["n_ctx"], self.info.n_ctx)} for slot in slots]

    async def save_slot(self, slot: int, path: str) -> tuple[int, int]:
        """Write a slot's cells to a file.   -> tokens, bytes"""
        saved: tuple[int, int] = await self.call("save_slot", slot, path)
        return saved

    async def restore_slot(self, slot: int, path: str) -> tuple[int, int]:
        """Bring them back.   -> tokens, bytes"""
        restored: tuple[int, int] = await self.call("restore_slot", slot, path)
        return restored

    async def erase_slot(self, slot: int) -> int:
        """Forget a slot's cells.   -> tokens"""
        n_tokens: int = await self.call("erase_slot", slot)
        return n_tokens

    async def adapters(self) -> list[tuple[str, float]]:
        """The server's LoRA adapters and their scales."""
        adapters: list[tuple[str, float]] = await self.call("adapters")
        return adapters

    async def set_adapters(self, scales: Sequence[tuple[int, float]]) -> None:
        """Set scales by index; those not named get 0."""
        await self.call("set_adapters", tuple(scales))

    async def call(self, name: str, *arguments: Any) -> Any:
        """Raises what the engine answers with, EngineLost when it ends before."""
        self.check_ready()
        self.wake()
        number, answer = next(self._numbers), asyncio.get_running_loop().create_future()
        self._calls[number] = answer
        try:
            self.channel.send(Call(number, name, arguments))
            return await answer
        finally:
            if self._calls.pop(number, None) is not None and self.state is EngineState.READY:
                self.channel.send(GiveUp(number))

    async def close(self) -> None:
        """Take no more requests, end those that run, and the engine."""
        self._set(EngineState.CLOSED)
        self.end_all()
        if self._watching is not None:
            self._watching.cancel()
        await self.channel.close()

    async def _watch(self) -> None:
        """End an engine that hangs: the channel starts it again. Time in which this process slept does not count."""
        then = time.monotonic()
        while True:
            await asyncio.sleep(TICK if self.sleep_after is None else min(TICK, self.sleep_after / 4))
            now = time.monotonic()
            self._doze(now)
            is_busy = self.is_busy and self.state is not EngineState.LOADING and not self._is_waking
            self.heartbeat_age = self.heartbeat_age + min(now - then, 2 * TICK) if is_busy else 0.0
            then = now
            n_stuck = self.stats.seconds_stuck if is_busy and self.stats is not None else 0.0
            if self.heartbeat_age > LONGEST_SILENCE or n_stuck > LONGEST_STEP:
                log.error("the engine hangs, and is ended")
                self.heartbeat_age, self.stats = 0.0, None
                self.channel.kill()

    def _doze(self, now: float) -> None:
        """Let an engine sleep that had nothing to do for long enough."""
        if self.is_busy or self.state is not EngineState.READY or self._is_waking:
            self._used = now
        elif self.sleep_after is not None and not self.is_asleep and now - self._used >= self.sleep_after:
            log.info("sleeps after %g seconds without requests", self.sleep_after)
            self.is_asleep = True
            self.channel.sleep()

    # from the channel
    def _receive(self, message: FromEngine) -> None:
        self.heartbeat_age = 0.0
        if isinstance(message, Told):
            self._tell(message)
        elif isinstance(message, Reply):
            answer = self._calls.pop(message.number, None)
            if answer is not None and not answer.done():
                answer.set_exception(message.error) if message.error else answer.set_result(message.value)
        elif isinstance(message, Ready):
            self._info, self.was_ready, self._is_waking = message.info, True, False
            if self.state is EngineState.LOADING:
                self._set(EngineState.READY)

    def _tell(self, told: Told) -> None:
        streams = self.streams
        self.stats = told.stats or self.stats
        for id, event in told.events:
            if (stream := streams.get(id)) is not None:
                stream.push(event)
        for id, usage in told.usages:
            if (stream := streams.get(id)) is not None:
                stream.update(usage)
                if stream.end is not None:
                    del streams[id]

    def _lost(self, reason: str, is_final: bool) -> None:
        """The engine has ended by itself; unless that is final, it is being started again."""
        self.why, self.stats, self._is_waking = reason, None, False
        self.n_restarts += self.was_ready
        if self.state is not EngineState.CLOSED:
            self._set(EngineState.FAILED if is_final else EngineState.LOADING)
        error = EngineLost(reason)
        self._fail(Failed(error), error)

    def _fail(self, end: Failed, error: Exception) -> None:
        """End all that was asked of the engine."""
        streams, calls = [*self.streams.values()], [*self._calls.values()]
        self.streams.clear()
        self._calls.clear()
        for stream in streams:
            stream.push(end)
        for answer in calls:
            if not answer.done():
                answer.set_exception(error)

    def _set(self, state: EngineState) -> None:
        self.state = state
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    # from streams
    def _cancel(self, id: int) -> None:
        if id in self.streams:
            self.channel.send(Cancel((id,)))

    def _read(self, id: int, n: int) -> None:
        if id in self.streams:
            self.channel.send(Read(id, n))
