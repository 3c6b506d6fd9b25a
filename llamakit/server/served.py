"""The model that requests are for."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llamakit.core.chat.template import ChatTemplate
    from llamakit.core.engine.scheduler import Scheduler
    from llamakit.core.vocab.base import Vocab


@dataclass(frozen=True)
class Served:
    """A model, by the name that it has in answers, and what computes it."""

    name: str
    scheduler: Scheduler
    template: ChatTemplate
    created: int = field(default_factory=lambda: int(time.time()))  # Unix time

    @property
    def vocab(self) -> Vocab:
        return self.scheduler.vocab
