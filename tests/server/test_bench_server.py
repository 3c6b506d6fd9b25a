"""What scripts/bench_server.py reads from /metrics and makes of it; how fast anything is, nobody tests."""

from __future__ import annotations

import argparse
import importlib.util
import random
import sys
from pathlib import Path

import pytest

from .processes import server_process

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_server.py"
METRICS = """# HELP llamacpp:prompt_seconds_total Seconds spent on prompts
# TYPE llamacpp:prompt_seconds_total counter
llamacpp:prompt_seconds_total 1.5
llamacpp:prompt_tokens_seconds 1000.0
llamacpp:tokens_predicted_seconds_total 2.25e-1
"""


class SmallNumbers(random.Random):
    """Tokens of the small model."""

    def randrange(self, *ends):
        return 40


@pytest.fixture
def script(monkeypatch):
    spec = importlib.util.spec_from_file_location("bench_server", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bench_server", module)  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def test_seconds_of_steps_are_those_of_prompts_and_of_drawing(script):
    assert script.step_seconds(METRICS) == 1.725
    with pytest.raises(KeyError):
        script.step_seconds("llamacpp:prompt_seconds_total 1.5")


def test_the_overhead_is_the_median_of_the_rounds(script):
    assert script.overhead([1.1, 2.0, 3.03], [1.0, 1.0, 3.0]) == pytest.approx(10)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_round_lasts_longer_than_the_engines_steps_in_it(path, script, capsys):
    options = argparse.Namespace(prompt=8, new=8, threads=2)
    with server_process("-m", path, "--metrics", "-np", "2", "-c", "256") as running:
        server = script.Server("llamakit", running.process, running.port)
        for _ in range(2):
            script.measure(server, 2, options, SmallNumbers())
    assert all(0 < steps < wall for steps, wall in zip(server.steps[2], server.walls[2], strict=True))
    script.report([server], 2, options)
    assert "; HTTP overhead +" in capsys.readouterr().out
