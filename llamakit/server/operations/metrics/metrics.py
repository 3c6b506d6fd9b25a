"""All figures together, as `/metrics` gives them."""

from __future__ import annotations

import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics, generate_latest

from llamakit.server.operations.metrics.engine import EngineFigures, engine_families, rates
from llamakit.server.operations.metrics.families import Family, counter, text_of
from llamakit.server.operations.metrics.histograms import Histograms
from llamakit.server.operations.metrics.outcomes import Outcome, asks_for_tokens, outcome_of
from llamakit.server.operations.record import RequestRecord

FAILURES = (Outcome.VALIDATION, Outcome.OVERLOADED, Outcome.GENERATION, Outcome.INCOMPLETE)


class Metrics:
    """`figures` gives those of the engine now; n_ctx bounds the histograms of lengths. Any thread may call.

    No label has a value that a client chooses: their number is bounded.
    """

    def __init__(self, figures: Callable[[], EngineFigures], n_ctx: int) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._figures, self.started = figures, time.time()
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._histograms = Histograms(self._registry, n_ctx)
        self._outcomes: Tally[Outcome] = Tally()
        self._last_scrape = EngineFigures()
        self._lock = threading.Lock()

    def observe(self, record: RequestRecord) -> None:
        """A request is over. Those that ask for no tokens are not counted."""
        if not asks_for_tokens(record):
            return
        with self._lock:
            self._outcomes[outcome_of(record)] += 1
        if record.streams:
            self._histograms.observe(record)

    def text(self) -> bytes:
        """In Prometheus' text format; rates are those since it was last asked for."""
        now = self._figures()
        with self._lock:
            families = [*engine_families(now), *rates(self._last_scrape, now), *self._requests()]
            self._last_scrape = now
        return text_of(families) + generate_latest(self._registry)

    def _requests(self) -> Iterable[Family]:
        tally = self._outcomes
        yield counter("tgi_request_count", sum(tally.values()), "Requests that ended")
        yield counter("tgi_request_success", tally[Outcome.SUCCESS], "Requests that were served")
        failures = {outcome.value: float(tally[outcome]) for outcome in FAILURES}
        yield Family("tgi_request_failure", "counter", "Requests that were not, and why", failures, "err")
