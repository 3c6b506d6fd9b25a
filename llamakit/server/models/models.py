"""The models of a server, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from llamakit.errors import UsageError
from llamakit.server.engine.engine import EngineState
from llamakit.server.models.served import Served


class UnknownModel(UsageError):
    """There is no model of this name."""


class Models(Protocol):
    """What `served_for` asks."""

    def start(self) -> None:
        """Begin to load what is to be there from the start; called in the event loop."""

    async def get(self, name: str | None, loads: bool | None = None, is_use: bool = True) -> Served:
        """The model of a name, or the default one, ready for requests.

        `loads`: whether it may be loaded for that; None: as the server is set up. Without `is_use` it is only looked
        at, which does not make it one that was used.

        Raises UnknownModel; EngineLoading and EngineLost where it is not ready, or will not be.
        """

    @property
    def served(self) -> Sequence[Served]:
        """Those that are open, the default first."""

    @property
    def failure(self) -> str | None:
        """Why there is nothing to be served any more; None while there is."""

    def refuse(self) -> None:
        """Take no more requests; those that run go on."""

    def end_all(self) -> None:
        """End those that run with an error."""

    async def close(self) -> None:
        """End the engines."""


class OneModel:
    """One model, which answers to every name, as llama-server does."""

    def __init__(self, served: Served) -> None:
        self.served: Sequence[Served] = (served,)

    def start(self) -> None:
        self.served[0].engine.start()

    async def get(self, name: str | None, loads: bool | None = None, is_use: bool = True) -> Served:
        (served,) = self.served
        served.engine.check_ready()
        return served

    @property
    def failure(self) -> str | None:
        engine = self.served[0].engine
        return engine.why if engine.state is EngineState.FAILED else None

    def refuse(self) -> None:
        self.served[0].engine.refuse()

    def end_all(self) -> None:
        self.served[0].engine.end_all()

    async def close(self) -> None:
        await self.served[0].engine.close()
