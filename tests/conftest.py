"""What several tests share."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from tests.fake_engine import FakeEngine, GreedySampler


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
