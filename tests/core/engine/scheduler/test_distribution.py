"""How often values fell between bounds; what a scheduler measures of its steps."""

from __future__ import annotations

import pytest

from llamakit.core.engine.scheduler.distribution import Distribution, sum_of

from .serving import Case, result, serving


def test_a_value_counts_up_to_its_bound():
    one = Distribution((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 3.0):
        one.add(value)
    assert (one.counts, one.total, one.n) == ([2, 1, 1], 6.0, 4)
    both = sum_of([one, one], one.bounds)
    assert (both.counts, both.total) == ([4, 2, 2], 12.0)
    assert sum_of([], (1.0,)).counts == [0, 0]


def test_every_step_is_measured(path, vocab, monkeypatch):
    with serving(path, vocab, 2) as (context, scheduler):
        jobs = [scheduler.submit(Case((1, 40, 41), n_predict=6).request(vocab)) for _ in range(2)]
        for job in jobs:
            result(job)
        scheduler.erase_slot(0)  # between steps: the last one is counted
        done = scheduler.stats().counters
        assert done.prefill_steps.n > 0 and done.decode_steps.n >= 5
        assert done.prefill_steps.n + done.decode_steps.n == done.forwards.n == done.sizes.n == done.n_steps
        assert done.sizes.total == done.n_busy
        whole = done.prefill_steps.total + done.decode_steps.total
        assert abs(done.forwards.total + done.draws.total - whole) < 1e-9
        monkeypatch.setattr(context, "slices", lambda chunks: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            list(scheduler.submit(Case((1, 42)).request(vocab)).events())
        failed = scheduler.stats().counters
        assert (failed.n_failed_prefills, failed.n_failed_decodes, failed.n_steps) == (1, 0, done.n_steps)
