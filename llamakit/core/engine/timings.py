"""How long the parts of a generation took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Clock:
    """Seconds spent on a number of tokens; counts only what was finished."""

    seconds: float = 0.0
    n_tokens: int = 0

    @contextmanager
    def of(self, n_tokens: int) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - begin
        self.n_tokens += n_tokens


@dataclass(slots=True)
class Timings:
    started: float = field(default_factory=time.perf_counter)
    load: float = 0.0  # seconds from `started` until the model was ready
    prefill: Clock = field(default_factory=Clock)
    step: Clock = field(default_factory=Clock)
    sample: Clock = field(default_factory=Clock)
