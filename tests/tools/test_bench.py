"""Benchmarks run every combination, time only what they name, and know the machine's limit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llamakit.tools import bench
from llamakit.tools.bench import Grid, Result, Runner, Setup, Workload, limit_ns, spread
from tests.fake_engine import FakeContext, FakeEngine, FakeModel

RESULT = Result(
    Setup("m.gguf"),
    Workload(n_prompt=100),
    "fake 258 F32",
    4000,
    1000,
    2,
    "2026-01-02T03:04:05Z",
    (10**9, 2 * 10**9),
    3e8,
)


@pytest.mark.parametrize(
    "test, name",
    [
        (Workload(n_prompt=512), "pp512"),
        (Workload(n_gen=128), "tg128"),
        (Workload(512, 128), "pp512+tg128"),
        (Workload(512, 0, 4096), "pp512 @ d4096"),
    ],
)
def test_tests_are_named_as_llama_bench_names_them(test: Workload, name: str) -> None:
    assert test.name == name


def test_all_combinations_are_run_models_outermost() -> None:
    grid = Grid(["a", "b"], n_ubatch=(64, 512), n_threads=(1, 2))
    assert [(s.model, s.n_ubatch, s.n_threads) for s in grid.setups()] == [
        (model, n_ubatch, n_threads) for model in "ab" for n_ubatch in (64, 512) for n_threads in (1, 2)
    ]


def test_each_depth_has_prompts_then_generations_then_pairs() -> None:
    grid = Grid(["a"], n_prompt=(8, 0), n_gen=(4,), pairs=[(2, 1)], n_depth=(0, 16))
    names = ["pp8", "tg4", "pp2+tg1"]
    assert [test.name for test in grid.tests()] == [*names, *(f"{name} @ d16" for name in names)]


def test_one_context_serves_all_tests_and_everything_is_closed(fake_engine: FakeEngine) -> None:
    results = list(Runner(repetitions=2).run(Grid(["a"], (8,), (4,), n_depth=(0, 16))))
    assert [result.test.name for result in results] == ["pp8", "tg4", "pp8 @ d16", "tg4 @ d16"]
    assert fake_engine.contexts[0].n_ctx == 8 + 16
    assert len(fake_engine.contexts) == len(fake_engine.models) == 1
    assert fake_engine.is_closed()


def test_a_broken_off_run_closes_everything(fake_engine: FakeEngine) -> None:
    results = Runner(repetitions=1).run(Grid(["a"], (8,), (4,)))
    next(results)
    results.close()
    assert fake_engine.is_closed()


def test_a_model_is_opened_once_for_all_its_setups(fake_engine: FakeEngine) -> None:
    list(Runner(repetitions=1).run(Grid(["a", "b"], (8,), (4,), n_threads=(1, 2))))
    assert (len(fake_engine.models), len(fake_engine.contexts)) == (2, 4)


def run_one(test: Workload, *, warmup: bool) -> FakeContext:
    context, model = FakeContext(n_ctx=64), FakeModel()
    limits = type("Limits", (), {"read_bandwidth": lambda self, n: 1.0, "int8_peak": lambda self, n: 1.0})()
    Runner(repetitions=2, warmup=warmup).measure(Setup("m"), test, model, context, limits)
    return context


def test_depth_is_filled_once_and_kept_between_repetitions() -> None:
    assert run_one(Workload(n_prompt=4, n_depth=3), warmup=False).calls == [
        ("truncate", 0, 0),
        ("truncate", 3, 0),
        ("prefill", 0, 3),
        ("prefill", 3, 4),
        ("truncate", 3, 0),
        ("prefill", 3, 4),
        ("truncate", 0, 0),
    ]


def test_generation_goes_token_by_token() -> None:
    calls = run_one(Workload(n_gen=3), warmup=False).calls
    assert [call for call in calls if call[0] != "truncate"] == [("step", i, 1) for i in (0, 1, 2)] * 2


def test_the_warm_up_runs_first_and_generates_one_token() -> None:
    calls = run_one(Workload(4, 3), warmup=True).calls
    assert [call for call in calls if call[0] != "truncate"][:2] == [("prefill", 0, 4), ("step", 4, 1)]
    assert sum(1 for call, *_ in calls if call == "step") == 1 + 2 * 3


def test_speed_is_the_mean_of_the_samples() -> None:
    assert RESULT.samples_ts == [100.0, 50.0]
    assert spread(RESULT.samples_ts) == pytest.approx(35.355339)
    assert spread([1.0]) == 0.0


def test_the_share_of_the_limit_is_the_best_time_over_the_time_taken() -> None:
    assert RESULT.percent_of_limit == pytest.approx(100 * 0.3 / 1.5)
    assert replace(RESULT, limit_ns=1.5e9).percent_of_limit == pytest.approx(100)


@pytest.mark.parametrize(
    "test, seconds", [(Workload(10, 0), 10 * 2000 / 8), (Workload(0, 5), 5 * 4000 / 16), (Workload(10, 5), 3750)]
)
def test_the_limit_is_operations_for_prompts_and_bytes_for_generation(test: Workload, seconds: float) -> None:
    limits = type("Limits", (), {"read_bandwidth": lambda self, n: 8.0 * n, "int8_peak": lambda self, n: 4.0 * n})()
    assert limit_ns(test, FakeModel(), 2, limits) == pytest.approx(1e9 * seconds)


def test_tokens_are_drawn_from_the_whole_vocabulary() -> None:
    assert set(bench.random_tokens(200, 3)) == {0, 1, 2}
