"""What the engines of all models have done, added up."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest

from llamakit.core.engine.scheduler.distribution import SECONDS, SIZES, sum_of
from llamakit.server.engine.engine import Engine
from llamakit.server.models.models import Models
from llamakit.server.operations.metrics.engine import EngineFigures


def figures_of(models: Models) -> EngineFigures:
    """As last told: an engine that works does so at least once a second."""
    engines = [served.engine for served in models.served]
    told = [engine.stats for engine in engines if engine.stats is not None]
    stats = [each.scheduler for each in told]
    counters = [each.counters for each in stats]
    return EngineFigures(
        n_prompt=sum(c.n_prompt for c in counters),
        n_cached=sum(c.n_cached for c in counters),
        n_drawn=sum(c.n_drawn for c in counters),
        prompt_seconds=sum(c.prompt_seconds for c in counters),
        decode_seconds=sum(c.draw_seconds for c in counters),
        n_steps=sum(c.n_steps for c in counters),
        n_busy=sum(c.n_busy for c in counters),
        n_failed_prefills=sum(c.n_failed_prefills for c in counters),
        n_failed_decodes=sum(c.n_failed_decodes for c in counters),
        prefill_steps=sum_of([c.prefill_steps for c in counters], SECONDS),
        decode_steps=sum_of([c.decode_steps for c in counters], SECONDS),
        forwards=sum_of([c.forwards for c in counters], SECONDS),
        draws=sum_of([c.draws for c in counters], SECONDS),
        sizes=sum_of([c.sizes for c in counters], SIZES),
        n_tokens_max=max((c.n_longest for c in counters), default=0),
        n_drafts=sum(c.n_drafts for c in counters),
        n_drafted=sum(c.n_drafted for c in counters),
        n_accepted=sum(c.n_accepted for c in counters),
        n_accepted_at=tuple(map(sum, zip_longest(*(c.n_accepted_at for c in counters), fillvalue=0))),
        n_restarts=sum(engine.n_restarts for engine in engines),
        n_running=sum(each.n_running for each in stats),
        n_waiting=n_waiting(engines),
        n_blocks=sum(each.n_blocks for each in stats),
        n_blocks_free=sum(each.n_blocks_free + each.n_blocks_kept for each in stats),  # kept ones are given up at need
        n_tokens_held=sum(each.n_tokens_held for each in told),
        step_age=max((max(each.seconds_stuck, 0.0) for each in told), default=0.0),
    )


def n_waiting(engines: Iterable[Engine]) -> int:
    """Requests that no slot serves, as far as this process knows."""
    return sum(max(0, len(e.streams) - e.info.n_slots) for e in engines if e.was_ready)
