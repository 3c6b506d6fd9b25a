"""A model behind a real HTTP server, on a free port of the loopback."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from llamakit.core.engine.scheduler.scheduler import Scheduler
from llamakit.server.app import create_app
from llamakit.server.engine.engine import Engine
from llamakit.server.engine.local import LocalChannel
from llamakit.server.models.models import OneModel
from llamakit.server.models.served import Served, open_served
from llamakit.server.settings import ModelSettings, ServerSettings


@dataclass(frozen=True)
class Running:
    """`scheduler` is what the server's engine stands on: what a test asks of it itself is right by definition."""

    url: str
    served: Served
    scheduler: Scheduler

    @property
    def engine(self) -> Engine:
        return self.served.engine

    def ask(self, path: str, body: Any = None, method: str | None = None, **headers: str) -> Reply:
        """One request: POST where there is a body (bytes as they are, all else as JSON), else GET."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=60)
        try:
            sent = {name.replace("_", "-"): text for name, text in headers.items()}
            sent.setdefault("Content-Type", "application/json")
            connection.request(method or ("GET" if data is None else "POST"), path, data, sent)
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.headers), answer.read())
        finally:
            connection.close()


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The data of an event stream, each read as JSON; "[DONE]" as it is."""
        lines = [line[5:].strip() for line in self.body.decode().splitlines() if line.startswith("data:")]
        return [line if line == "[DONE]" else json.loads(line) for line in lines]


@contextmanager
def serving(scheduler: Scheduler, *, server: ServerSettings | None = None, **model: Any) -> Iterator[Running]:
    """Serve what a scheduler computes; `model` are fields of ModelSettings."""
    path = scheduler.context.model.path
    settings = ModelSettings(str(path), **{"aliases": ("tiny",), **model})
    served = open_served(settings, Engine(LocalChannel(scheduler), n_queue_max=settings.n_queue_max))
    with listening(create_app(OneModel(served), server)) as url:
        yield Running(url, served, scheduler)


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """An application behind uvicorn, in a thread."""
    import uvicorn

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        web = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
        thread = threading.Thread(target=web.run, args=([listener],), daemon=True)
        thread.start()
        while not web.started:
            assert thread.is_alive(), "the server has not started"
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            web.should_exit = True
            thread.join()
