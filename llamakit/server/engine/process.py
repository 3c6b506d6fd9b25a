"""An engine in a process of its own, started again when it ends by itself."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
from collections.abc import Callable

from llamakit.server.engine.frames import Frames, frame
from llamakit.server.engine.messages import FromEngine, NotLoaded, Ready, ToEngine
from llamakit.server.engine.spawn import Spawned, spawn
from llamakit.server.settings import ModelSettings

log = logging.getLogger(__name__)

MOST_FAILURES = 6  # to load a model that could be loaded before, in a row
FIRST_WAIT, LONGEST_WAIT = 0.25, 30.0  # seconds before it is tried again: twice as many each time
TIME_TO_END = 5.0  # seconds that an engine has when its socket is closed


class Worker:
    """An engine's process; it loads its model already."""

    def __init__(self, spawned: Spawned) -> None:
        self.process, self.connection = spawned.process, spawned.connection
        self.frames = Frames()
        self.why = ""  # it could not load


def started(settings: ModelSettings) -> Worker:
    spawned = spawn()
    spawned.load(settings)
    return Worker(spawned)


class Sleep:
    """From the time that an engine is ended until the next one is talked with."""

    def __init__(self) -> None:
        self.is_over = asyncio.Event()
        self.unsent: list[ToEngine] = []  # to the next one


class ProcessChannel:
    """A channel (see `engine.py`) to a process. It begins to load at once, before there is an event loop.

    `spawned` is a process that loads the model of these settings already.
    """

    def __init__(self, settings: ModelSettings, spawned: Spawned | None = None) -> None:
        self.settings = settings
        self.worker = Worker(spawned) if spawned else started(settings)
        self._transport: asyncio.WriteTransport | None = None
        self._n_failures = 0
        self._was_ready = self._is_closing = False
        self._sleep: Sleep | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, receive: Callable[[FromEngine], None], lost: Callable[[str, bool], None]) -> None:
        self._receive, self._lost = receive, lost
        self._task = asyncio.get_running_loop().create_task(self._live())

    def send(self, message: ToEngine) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(message))
        elif self._sleep is not None and self._sleep.is_over.is_set():
            self._sleep.unsent.append(message)

    def kill(self) -> None:
        """End a process that does not answer; it is started again."""
        self.worker.process.kill()

    def sleep(self) -> None:
        self._sleep = Sleep()
        if self._transport is not None:
            self._transport.close()

    def wake(self) -> None:
        if self._sleep is not None:
            self._sleep.is_over.set()

    def abandon(self) -> None:
        """End a process that was never talked with."""
        self.worker.connection.close()
        self.worker.process.kill()
        self.worker.process.wait()

    async def close(self) -> None:
        self._is_closing = True
        self.wake()
        if self._transport is not None:
            self._transport.close()
        else:
            self.worker.connection.close()
        if self._task is not None:
            await self._task
        else:
            await reap(self.worker.process)

    async def _live(self) -> None:
        """Talk with one process after the other."""
        while True:
            await self._talk(self.worker)
            sleep = self._sleep
            reason = await self._reason(self.worker)
            if sleep is not None:
                await sleep.is_over.wait()
            if self._is_closing:
                return
            if sleep is not None:
                self.worker = started(self.settings)
                continue
            self._n_failures += 1
            is_final = self._n_failures >= (MOST_FAILURES if self._was_ready else 1)
            log.error("%s", reason)
            self._lost(reason, is_final)
            if is_final:
                return
            await asyncio.sleep(min(FIRST_WAIT * 2 ** (self._n_failures - 1), LONGEST_WAIT))
            if self._is_closing:
                return
            self.worker = started(self.settings)

    async def _talk(self, worker: Worker) -> None:
        """Until the process closes its end."""
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        self._transport, _ = await loop.create_connection(
            lambda: Talk(worker, self._hear, ended), sock=worker.connection
        )
        if self._is_closing:
            self._transport.close()
        if self._sleep is not None:
            for message in self._sleep.unsent:
                self._transport.write(frame(message))
            self._sleep = None
        await ended
        self._transport = None

    def _hear(self, message: FromEngine) -> None:
        if isinstance(message, Ready):
            self._was_ready, self._n_failures = True, 0
            log.info("ready: %s", self.settings.path)
        if isinstance(message, NotLoaded):
            self.worker.why = message.reason
        else:
            self._receive(message)

    async def _reason(self, worker: Worker) -> str:
        """Why a process that is gone has ended."""
        code = await reap(worker.process)
        return worker.why or f"the engine {how_it_ended(code)}"


class Talk(asyncio.Protocol):
    def __init__(self, worker: Worker, hear: Callable[[FromEngine], None], ended: asyncio.Future[None]) -> None:
        self.worker, self.hear, self.ended = worker, hear, ended

    def data_received(self, data: bytes) -> None:
        for message in self.worker.frames.push(data):
            self.hear(message)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


async def reap(process: subprocess.Popen[bytes]) -> int:
    """Wait until a process has ended, and end it if it takes its time.   -> its exit code"""
    for _ in range(int(TIME_TO_END / 0.01)):
        if (code := process.poll()) is not None:
            return code
        await asyncio.sleep(0.01)
    process.kill()
    return process.wait()


def how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    name = signal.Signals(-code).name
    hints = {
        "SIGKILL": "somebody, or the system for want of memory, has ended it",
        "SIGBUS": "was the model's file cut short?",
        "SIGILL": "the kernels were compiled for another processor",
    }
    hint = f": {hints[name]}" if name in hints else ""
    return f"was ended by {name}{hint}"
