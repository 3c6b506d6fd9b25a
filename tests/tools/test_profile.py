"""Where a model's time goes: lines, bars, the page."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from llamakit.cli.app import run as run_command
from llamakit.core.engine.profile import OpTime
from llamakit.tools.bench import Setup, Workload
from llamakit.tools.profile import Profiled, bars, cells, page, profile, text

from ..tiny import Tiny, write_tiny


def op(kernel: str, weights: tuple[str, ...], seconds: float, n_runs: int = 1, **more: int) -> OpTime:
    return OpTime(kernel, ":q8_0", weights, 2, seconds, n_runs, **more)


OPS = [
    op("embed.rows", (), 0.1),
    op("gemv.rows", ("blk.0.attn_q.weight", "blk.0.attn_k.weight"), 0.2, n_bytes=100, n_flops=400),
    op("attention.attend", (), 0.05),
    op("gemv.rows", ("blk.1.attn_q.weight", "blk.1.attn_k.weight"), 0.3, n_bytes=100, n_flops=400),
    op("gemv.rows", ("output.weight",), 0.35, n_bytes=1000, n_flops=2000),
]
PROFILED = Profiled("tg1", 2, OPS, read_bandwidth=1000.0, int8_peak=8000.0, seconds=1.25)


def test_the_same_tensors_of_all_layers_are_one_line_the_slowest_first() -> None:
    lines = PROFILED.lines
    assert [line.name for line in lines] == [
        "gemv q8_0: attn_q, attn_k", "gemv q8_0: output", "embed q8_0", "attention attend",
    ]  # fmt: skip
    assert lines[0].seconds == pytest.approx(0.5) and lines[0].n_calls == 2 and lines[0].n_bytes == 200
    assert PROFILED.outside == pytest.approx(0.25)


def test_speeds_are_told_beside_the_machines_limits() -> None:
    rows = cells(PROFILED)
    assert rows[1][3:] == ("28.0 %", "0.0", "286 %", "0", "71 %")
    assert rows[-1][:4] == ("between ops", "", "250.000", "20.0 %")
    unclocked = cells(replace(PROFILED, seconds=None))
    assert unclocked[1][3] == "35.0 %" and len(unclocked) == len(rows) - 1
    assert text(PROFILED).splitlines()[0] == "tg1, 2 threads" and "between ops" in text(PROFILED)


def test_bars_fill_the_whole_and_ops_lie_within_their_layers() -> None:
    found = bars(OPS)
    assert [bar.label for bar in found if bar.row == 0] == ["layer 0", "layer 1", "embedding, head"]
    for row in (0, 1):
        assert sum(bar.share for bar in found if bar.row == row) == pytest.approx(1)
    layer = found[0]
    inside = [bar for bar in found if bar.row == 1 and bar.start < layer.start + layer.share - 1e-9]
    assert [bar.label for bar in inside] == ["gemv q8_0: attn_q, attn_k", "attention attend"]
    assert "<svg" in page("<title>", [PROFILED]) and "&lt;title&gt;" in page("<title>", [PROFILED])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", Tiny()))


@pytest.mark.parametrize("test", [Workload(n_prompt=8), Workload(n_gen=3, n_depth=4)])
def test_a_model_is_profiled(model: str, test: Workload) -> None:
    found = profile(Setup(model, n_threads=1), test, n_repeat=2)
    assert 0 < sum(op.seconds for op in found.ops) <= found.seconds
    n_runs = 2 * max(1, test.n_gen)
    assert any(line.name.endswith("ffn_down") and line.n_calls == 2 * n_runs for line in found.lines)


def test_bench_prints_profiles_and_writes_the_page(model, tmp_path, capsys) -> None:
    path = tmp_path / "profile.html"
    options = ["-p", "8", "-n", "2", "-r", "1", "-t", "1"]
    assert run_command(["bench", "-m", model, *options, "--profile-html", str(path)]) == 0
    out = capsys.readouterr().out
    assert "pp8, 1 threads" in out and "tg2, 1 threads" in out and "between ops" in out
    assert "layer 1" in path.read_text()
    assert run_command(["bench", "-m", model, *options, "--profile", "-o", "json"]) == 0
    assert {json.loads(line)["test"] for line in capsys.readouterr().out.splitlines()} == {"pp8", "tg2"}
    assert run_command(["bench", "-m", model, *options, "--profile", "-o", "csv"]) == 1
