"""A model's file, as the web process reads it."""

from __future__ import annotations

import pytest

from llamakit.errors import UsageError
from llamakit.server.engine.engine import Engine
from llamakit.server.engine.local import LocalChannel
from llamakit.server.models.served import open_served
from llamakit.server.settings import ModelSettings


def test_a_model_without_a_classifier_cannot_be_served_to_rank(path, scheduler):
    engine = Engine(LocalChannel(scheduler))
    with pytest.raises(UsageError, match=r"tiny.gguf: has no classifier \(cls, cls.output\)"):
        open_served(ModelSettings(str(path), reranking=True, pooling="rank"), engine)
    assert open_served(ModelSettings(str(path), pooling="mean"), engine).settings.pooling == "mean"
