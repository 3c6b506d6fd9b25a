"""What several tests share."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tests.fake_engine import FakeEngine, GreedySampler


@pytest.fixture(autouse=True)
def no_log_is_left() -> Iterator[None]:
    """A command that a test runs may say where this process logs to; the test's own stderr is closed then."""
    root = logging.getLogger()
    level = root.level
    yield
    for handler in root.handlers[:]:
        if type(handler) in (logging.StreamHandler, logging.FileHandler):  # pytest's are of other kinds
            root.removeHandler(handler)
            handler.close()
            root.setLevel(level)


@pytest.fixture
def fake_engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """What the tools import when they open a model, replaced."""
    import llamakit.core.engine as package

    engine = FakeEngine()
    limits = SimpleNamespace(read_bandwidth=lambda n_threads: 4e6, int8_peak=lambda n_threads: 4e6)
    for name, module in {
        "llamakit.core.engine.load": SimpleNamespace(load_model=engine.load_model),
        "llamakit.core.engine.context": SimpleNamespace(Context=engine.context),
        "llamakit.core.engine.limits": limits,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(package, "limits", limits, raising=False)
    monkeypatch.setattr("llamakit.core.sampling.chain.Sampler", lambda *args, **options: GreedySampler())
    return engine
