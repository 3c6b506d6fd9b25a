"""A server's life: it listens, loads its models, serves, and ends when it is told to."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from llamakit.errors import UsageError
from llamakit.server.app import create_app
from llamakit.server.arenas import use_one_arena
from llamakit.server.engine.engine import Engine
from llamakit.server.engine.process import ProcessChannel
from llamakit.server.engine.spawn import Spawned
from llamakit.server.listening import address_of, close, listen
from llamakit.server.models.fetched import fetched
from llamakit.server.models.many import Fetch, ManyModels
from llamakit.server.models.models import Models, OneModel
from llamakit.server.models.served import open_served
from llamakit.server.operations.connections import protocol_class
from llamakit.server.operations.limits import Limits
from llamakit.server.settings import ModelSettings, ServerSettings
from llamakit.server.tls import check_certificate

log = logging.getLogger(__name__)

TIME_TO_SAY_SO = 2  # seconds that replies have to go out when all streams have ended
LEAST_FILES = 32  # that a process may have open: half of them for what is no connection
POLL = 0.05  # seconds between looks at what still runs


class Web(uvicorn.Server):
    """uvicorn, with an end of its own.

    SIGTERM and SIGINT: new requests are refused, those that run have `settings.grace` seconds; what runs then, or at a
    second signal, ends with an error. SIGHUP means nothing.
    """

    def __init__(self, app: ASGIApp, models: Models, settings: ServerSettings) -> None:
        super().__init__(config_of(app, settings))
        self.models, self.settings = models, settings
        self.failure: str | None = None  # why it had to end
        self.n_signals = 0
        self._draining: asyncio.Task[None] | None = None

    def capture_signals(self) -> Any:
        return Signals(self)

    def told_to_end(self) -> None:
        self.n_signals += 1
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self.drain())

    async def drain(self) -> None:
        """Let what runs come to its end."""
        log.info("the server ends; requests that run have %g seconds, a second signal ends them", self.settings.grace)
        self.models.refuse()
        deadline = time.monotonic() + self.settings.grace
        while self.is_busy and time.monotonic() < deadline and self.n_signals < 2:
            await asyncio.sleep(POLL)
        if self.is_busy:
            log.warning("requests that still run are ended")
            self.models.end_all()
        self.should_exit = True

    @property
    def is_busy(self) -> bool:
        """Whether requests are answered."""
        return bool(self.server_state.tasks)

    async def on_tick(self, counter: int) -> bool:
        if self.failure is None and (failure := self.models.failure) is not None:
            self.failure = failure
            self.should_exit = True
        return await super().on_tick(counter)


class Signals:
    """Signals of a server, from the time that it is entered on."""

    def __init__(self, web: Web) -> None:
        self.web = web

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.web.told_to_end)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def __exit__(self, *_: object) -> None:
        """They stay: a signal that comes while the process ends must not end it in another way."""


def config_of(app: ASGIApp, settings: ServerSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol_class(settings.limits or Limits()),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        headers=[("Server", "llama.cpp")],
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive,
        timeout_graceful_shutdown=TIME_TO_SAY_SO,
        ssl_keyfile=settings.ssl_key_file,
        ssl_certfile=settings.ssl_cert_file,
    )


def serve(
    settings: ServerSettings,
    model: ModelSettings,
    hosts: Sequence[str],
    port: int,
    reuse_port: bool = False,
    spawned: Spawned | None = None,
) -> int:
    """Serve a model until told to end.   -> exit code: 0, or 1 where it cannot be served any more

    `spawned` is a process that loads it already. Raises what opening the model's file or listening does.
    """
    check_files(settings)
    listening = listen(hosts, port, reuse_port=reuse_port)
    try:
        channel = ProcessChannel(model, spawned)
        try:
            served = open_served(model, Engine(channel, model.n_queue_max, model.sleep_after))
        except BaseException:
            channel.abandon()
            raise
        return run(settings, OneModel(served), listening)
    finally:
        close(listening, hosts)


def serve_many(
    settings: ServerSettings,
    known: Callable[[], Mapping[str, ModelSettings]],
    n_most: int,
    hosts: Sequence[str],
    port: int,
    reuse_port: bool = False,
    *,
    loads_itself: bool = True,
    answers_to_all: bool = False,
    fetch: Fetch = fetched,
) -> int:
    """Serve several models until told to end; see ManyModels.   -> exit code"""
    check_files(settings)
    models = ManyModels(known, n_most, loads_itself=loads_itself, answers_to_all=answers_to_all, fetch=fetch)
    listening = listen(hosts, port, reuse_port=reuse_port)
    try:
        return run(settings, models, listening)
    finally:
        close(listening, hosts)


def check_files(settings: ServerSettings) -> None:
    """Raises UsageError for those of a certificate that are none, and where too few files may be open."""
    n_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= n_files < LEAST_FILES:
        raise UsageError(f"only {n_files} files may be open here, and a server needs {LEAST_FILES}: ulimit -n")
    if settings.ssl_key_file is not None and settings.ssl_cert_file is not None:
        check_certificate(settings.ssl_key_file, settings.ssl_cert_file)


def run(settings: ServerSettings, models: Models, listening: list[socket.socket]) -> int:
    use_one_arena()
    web = Web(create_app(models, settings), models, settings)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    scheme = "https" if settings.ssl_cert_file else "http"
    log.info("listening on %s", ", ".join(address_of(each, scheme) for each in listening))
    web.run(listening)
    return 0 if web.failure is None else 1
