"""Several models by name, loaded when they are asked for; the one not used for longest makes way."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from llamakit.core.engine.scheduler import SchedulerClosed
from llamakit.errors import LlamakitError, UsageError
from llamakit.server.engine.engine import Engine, EngineState
from llamakit.server.engine.errors import EngineLoading
from llamakit.server.engine.process import ProcessChannel
from llamakit.server.models.events import EVERY_MODEL, ModelEvents
from llamakit.server.models.fetched import fetched
from llamakit.server.models.models import UnknownModel
from llamakit.server.models.served import Served, open_served
from llamakit.server.settings import ModelSettings

log = logging.getLogger(__name__)

POLL = 0.05  # seconds between looks whether a model that must make way is still at work
SHOWN = 20  # names in an error

NewEngine = Callable[[ModelSettings], Engine]
Fetch = Callable[[ModelSettings], ModelSettings]  # with paths in place of names; takes its time


@dataclass
class Entry:
    """A model that can be served."""

    name: str
    settings: ModelSettings
    served: Served | None = None
    last_used: float = 0.0
    error: str | None = None  # why it could not be loaded the last time
    is_told: bool = False  # that it is loaded, to those who listen

    @property
    def status(self) -> str:
        """As llama-server's router says it."""
        if self.served is None:
            return "unloaded"
        return "loaded" if self.served.engine.state is EngineState.READY else "loading"

    @property
    def is_idle(self) -> bool:
        return self.served is not None and not self.served.engine.is_busy


def engine_process(settings: ModelSettings) -> Engine:
    return Engine(ProcessChannel(settings), settings.n_queue_max, settings.sleep_after)


class ManyModels:
    """`known` gives the models by their names whenever it is called, the default first; at most `n_most` are loaded, 0:
    any number. Without `loads_itself`, a request loads one only where it says so. With `answers_to_all`, the default is
    asked where a request names none that there is, as in llama-cpp-python's server."""

    def __init__(
        self,
        known: Callable[[], Mapping[str, ModelSettings]],
        n_most: int,
        *,
        loads_itself: bool = True,
        answers_to_all: bool = False,
        fetch: Fetch = fetched,
        new_engine: NewEngine = engine_process,
    ) -> None:
        self.known, self.n_most, self.loads_itself = known, n_most, loads_itself
        self.answers_to_all, self._fetch, self._new_engine = answers_to_all, fetch, new_engine
        self.events = ModelEvents()
        self._starting: asyncio.Task[None] | None = None
        self.entries: dict[str, Entry] = {}
        self.is_open = True
        self._changing: asyncio.Lock | None = None
        self.rescan()

    def rescan(self) -> None:
        """Look again what there is. Those that are loaded stay."""
        known = self.known()
        loaded = {name: entry for name, entry in self.entries.items() if entry.served is not None}
        found = {name: self.entries.get(name) or Entry(name, settings) for name, settings in known.items()}
        for name, settings in known.items():
            if found[name].served is None:
                found[name].settings = settings
        self.entries = {**found, **loaded}

    async def reload(self) -> None:
        """`rescan`, and tell of it."""
        await asyncio.to_thread(self.rescan)
        self.events.tell(EVERY_MODEL, "models_reload")

    def start(self) -> None:
        self._changing = asyncio.Lock()
        self._starting = asyncio.get_running_loop().create_task(self._load_first_ones())

    async def _load_first_ones(self) -> None:
        """Load those that are to be there from the start, one after the other. Requests need not wait for them."""
        for entry in [entry for entry in self.entries.values() if entry.settings.loads_at_start]:
            try:
                await self.load(entry)
            except Exception as error:  # whatever it is, the others are loaded
                log.error("%s could not be loaded: %s", entry.name, error)

    async def get(self, name: str | None, loads: bool | None = None, is_use: bool = True) -> Served:
        entry = self.chosen(name)
        if entry.served is None and not (self.loads_itself if loads is None else loads):
            raise UsageError(f"model {entry.name!r} is not loaded: POST /models/load loads it")
        last_used = entry.last_used
        served = await self.load(entry)
        if not is_use:
            entry.last_used = last_used
        return served

    def chosen(self, name: str | None) -> Entry:
        """The model that a request is for. Raises UnknownModel."""
        try:
            return self.find(name)
        except UnknownModel:
            if self.answers_to_all and self.entries:
                return self.find(None)
            raise

    def find(self, name: str | None) -> Entry:
        """Raises UnknownModel."""
        if not name and self.entries:
            return next(iter(self.entries.values()))
        for entry in self.entries.values():
            if name in (entry.name, *entry.settings.aliases):
                return entry
        names = ", ".join([*self.entries][:SHOWN]) + (", ..." if len(self.entries) > SHOWN else "")
        raise UnknownModel(f"there is no model {(name or '')[:80]!r}; there is {names or 'none'}")

    async def load(self, entry: Entry) -> Served:
        """Load a model, or wait until it is loaded."""
        entry.last_used = time.monotonic()
        if entry.served is None:
            await self._load(entry)
        served = entry.served
        if served is None:
            raise EngineLoading(f"model {entry.name!r} was unloaded meanwhile")
        try:
            await served.engine.ready()
        except LlamakitError as error:
            entry.error = str(error)
            await self.unload(entry)
            raise
        if not entry.is_told:
            entry.is_told = True
            self.events.status(entry.name, "loaded")
        entry.error, entry.last_used = None, time.monotonic()
        return served

    async def _load(self, entry: Entry) -> None:
        async with self.changing:
            if not self.is_open:
                raise SchedulerClosed("the server ends: no more requests are taken")
            if entry.served is not None:  # another request was faster
                return
            while self.n_most and len(self.loaded) >= self.n_most:
                await self._make_way()
            log.info("loading %s", entry.name)
            self.events.status(entry.name, "loading")
            try:
                entry.served = await self._open(entry.settings)
            except BaseException as error:
                entry.error = str(error)
                self.events.status(entry.name, "unloaded")
                raise

    async def _open(self, settings: ModelSettings) -> Served:
        settings = await asyncio.to_thread(self._fetch, settings)
        engine = self._new_engine(settings)
        engine.start()
        try:
            return await asyncio.to_thread(open_served, settings, engine)
        except BaseException:
            await engine.close()
            raise

    async def _make_way(self) -> None:
        """Unload the model that was not used for longest, of those without work; wait for one where all have some."""
        while not (idle := [entry for entry in self.loaded if entry.is_idle]):
            await asyncio.sleep(POLL)
        await self._unload(min(idle, key=lambda entry: entry.last_used))

    async def unload(self, entry: Entry) -> None:
        async with self.changing:
            await self._unload(entry)

    async def _unload(self, entry: Entry) -> None:
        served, entry.served, entry.is_told = entry.served, None, False
        if served is not None:
            log.info("unloading %s", entry.name)
            await served.engine.close()
            self.events.status(entry.name, "unloaded")

    @property
    def loaded(self) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.served is not None]

    @property
    def served(self) -> Sequence[Served]:
        return [entry.served for entry in self.entries.values() if entry.served is not None]

    @property
    def failure(self) -> str | None:
        """A model that fails does not keep others from being served."""
        return None

    @property
    def changing(self) -> asyncio.Lock:
        assert self._changing is not None, "not started"
        return self._changing

    def refuse(self) -> None:
        self.is_open = False
        self.events.end()
        for served in self.served:
            served.engine.refuse()

    def end_all(self) -> None:
        for served in self.served:
            served.engine.end_all()

    async def close(self) -> None:
        self.refuse()
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        for entry in self.loaded:
            await self.unload(entry)
