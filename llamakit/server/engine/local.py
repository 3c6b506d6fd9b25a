"""An engine in the web server's own process, over a scheduler that somebody else owns: for tests."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue

from llamakit.core.engine.scheduler.scheduler import Scheduler
from llamakit.server.engine.host import Host, model_info
from llamakit.server.engine.messages import FromEngine, Ready, ToEngine


class LocalChannel:
    """Messages from an event loop to a thread, and back."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self._messages: SimpleQueue[ToEngine | None] = SimpleQueue()

    def start(self, receive: Callable[[FromEngine], None], lost: Callable[[str, bool], None]) -> None:
        loop = asyncio.get_running_loop()

        def send(message: FromEngine) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits for it
                loop.call_soon_threadsafe(receive, message)

        self.host = Host(self.scheduler, send, model_info(self.scheduler.context, pooling="mean"))
        self._thread = threading.Thread(target=self._live, name="engine", daemon=True)
        self._thread.start()
        receive(Ready(self.host.info))

    def send(self, message: ToEngine) -> None:
        self._messages.put(message)

    def kill(self) -> None:
        """It is not ours to end."""

    def sleep(self) -> None:
        """It has no memory of its own to free."""

    def wake(self) -> None:
        """It is always awake."""

    async def close(self) -> None:
        self._messages.put(None)
        await asyncio.to_thread(self._thread.join)
        await asyncio.to_thread(self.host.close)

    def _live(self) -> None:
        while (message := self._messages.get()) is not None:
            self.host.handle(message)
