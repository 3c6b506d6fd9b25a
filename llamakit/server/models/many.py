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
from llamakit.server.models.fetched import fetched
from llamakit.server.models.models import UnknownModel
from llamakit.server.models.served import Served, open_served
from llamakit.server.settings import ModelSettings

log = logging.getLogger(__name__)

POLL = 0.05  # seconds between looks whether a model that must make way is still at work
SHOWN = 20  # names in an error

NewEngine = Callable[[ModelSettings], Engine]


@dataclass
class Entry:
    """A model that can be served."""

    name: str
    settings: ModelSettings
    served: Served | None = None
    last_used: float = 0.0
    error: str | None = None  # why it could not be loaded the last time

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
    any number. Without `loads_itself`, only `load` loads one."""

    def __init__(
        self,
        known: Callable[[], Mapping[str, ModelSettings]],
        n_most: int,
        *,
        loads_itself: bool = True,
        new_engine: NewEngine = engine_process,
    ) -> None:
        self.known, self.n_most, self.loads_itself, self._new_engine = known, n_most, loads_itself, new_engine
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

    def start(self) -> None:
        self._changing = asyncio.Lock()

    async def get(self, name: str | None) -> Served:
        entry = self.find(name)
        if entry.served is None and not self.loads_itself:
            raise UsageError(f"model {entry.name!r} is not loaded: POST /models/load loads it")
        return await self.load(entry)

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
            try:
                settings = await asyncio.to_thread(fetched, entry.settings)
            except LlamakitError as error:
                entry.error = str(error)
                raise
            engine = self._new_engine(settings)
            engine.start()
            try:
                entry.served = await asyncio.to_thread(open_served, settings, engine)
            except BaseException as error:
                entry.error = str(error)
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
        served, entry.served = entry.served, None
        if served is not None:
            log.info("unloading %s", entry.name)
            await served.engine.close()

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
        for served in self.served:
            served.engine.refuse()

    def end_all(self) -> None:
        for served in self.served:
            served.engine.end_all()

    async def close(self) -> None:
        self.is_open = False
        for entry in self.loaded:
            await self.unload(entry)
