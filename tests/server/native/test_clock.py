"""The clock on the wall is nobody's measure of time."""

from __future__ import annotations

import time
from itertools import cycle

YEAR = 365 * 86400.0


def test_fault_91_a_clock_that_jumps_while_a_stream_runs_changes_nothing(server, monkeypatch):
    ask = {"prompt": "Hello", "n_predict": 48, "seed": 1, "ignore_eos": True, "stream": True, "t_max_predict_ms": 60000}
    before = server.ask("/completion", ask).events
    real, jumps = time.time, cycle((0.0, -YEAR, 10 * YEAR))
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
    events = server.ask("/completion", ask).events
    assert [event["content"] for event in events] == [event["content"] for event in before]
    timings = events[-1]["timings"]
    assert timings["predicted_n"] == 48
    assert all(0 <= timings[name] < 60000 for name in ("prompt_ms", "predicted_ms"))
