"""Timing prompt processing and text generation as llama-bench does, beside what this machine could do at best."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import groupby, product
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from llamakit.core.engine.context import Context
    from llamakit.core.engine.load import Model

Report = Callable[[str, int, int], None]  # stage, done, total


@dataclass(frozen=True, slots=True)
class Setup:
    """What one context is made with; n_threads None leaves the number to the engine."""

    model: str
    n_batch: int = 2048
    n_ubatch: int = 512
    type_k: str = "f16"
    type_v: str = "f16"
    n_threads: int | None = None
    embeddings: bool = False  # the states of tokens, without the head that makes logits of them


@dataclass(frozen=True, slots=True)
class Workload:
    """`n_prompt` tokens in one go, then `n_gen` one by one, behind `n_depth` tokens that are not timed."""

    n_prompt: int = 0
    n_gen: int = 0
    n_depth: int = 0

    @property
    def n_cells(self) -> int:
        return self.n_prompt + self.n_gen + self.n_depth

    @property
    def name(self) -> str:
        parts = [f"pp{self.n_prompt}"] * bool(self.n_prompt) + [f"tg{self.n_gen}"] * bool(self.n_gen)
        return "+".join(parts) + (f" @ d{self.n_depth}" if self.n_depth else "")


@dataclass(frozen=True, slots=True)
class Grid:
    """Every value to try; all combinations are run, models outermost."""

    models: Sequence[str]
    n_prompt: Sequence[int] = (512,)
    n_gen: Sequence[int] = (128,)
    pairs: Sequence[tuple[int, int]] = ()
    n_depth: Sequence[int] = (0,)
    n_batch: Sequence[int] = (2048,)
    n_ubatch: Sequence[int] = (512,)
    type_k: Sequence[str] = ("f16",)
    type_v: Sequence[str] = ("f16",)
    n_threads: Sequence[int | None] = (None,)
    embeddings: Sequence[bool] = (False,)

    def setups(self) -> list[Setup]:
        choices = (
            self.models, self.n_batch, self.n_ubatch, self.type_k, self.type_v, self.n_threads, self.embeddings,
        )  # fmt: skip
        return [Setup(*choice) for choice in product(*choices)]

    def tests(self) -> list[Workload]:
        return [
            Workload(n_prompt, n_gen, n_depth)
            for n_depth in self.n_depth
            for n_prompt, n_gen in [
                *((n, 0) for n in self.n_prompt if n),
                *((0, n) for n in self.n_gen if n),
                *self.pairs,
            ]
        ]


@dataclass(frozen=True, slots=True)
class Result:
    setup: Setup
    test: Workload
    model_type: str
    model_size: int  # bytes of the tensors
    model_n_params: int
    n_threads: int
    test_time: str  # ISO 8601, UTC
    samples_ns: tuple[int, ...]
    limit_ns: float  # the same test at the machine's measured limits

    @property
    def samples_ts(self) -> list[float]:
        """Tokens per second of each repetition."""
        n_tokens = self.test.n_prompt + self.test.n_gen
        return [1e9 * n_tokens / ns for ns in self.samples_ns]

    @property
    def percent_of_limit(self) -> float:
        return 100 * self.limit_ns / fmean(self.samples_ns)


def spread(samples: Sequence[float]) -> float:
    """Sample standard deviation; 0 for a single sample."""
    return stdev(samples) if len(samples) > 1 else 0.0


class Limits(Protocol):
    """What this machine can do with so many threads: bytes read a second, int8 operations a second."""

    def read_bandwidth(self, n_threads: int) -> float: ...

    def int8_peak(self, n_threads: int) -> float: ...


def limit_ns(test: Workload, model: Model, n_threads: int, limits: Limits, has_head: bool = True) -> float:
    """Nanoseconds the test would take if prompt tokens cost only their operations and generated ones only the weights
    read for them; keys and values are left out."""
    seconds = 0.0
    if test.n_prompt:
        seconds += test.n_prompt * model.n_flops_per_token / limits.int8_peak(n_threads)
    if test.n_gen:
        n_bytes = model.n_bytes_per_token - (0 if has_head else model.n_bytes_of_head)
        seconds += test.n_gen * n_bytes / limits.read_bandwidth(n_threads)
    return 1e9 * seconds


@dataclass(frozen=True, slots=True)
class Runner:
    """How each test is repeated."""

    repetitions: int = 5
    warmup: bool = True
    delay: float = 0.0  # seconds before each test
    report: Report | None = None
    note: Callable[[str], None] = lambda text: None

    def run(self, grid: Grid) -> Iterator[Result]:
        """Yield a result a test. One model is open at a time, one context serves all tests of a setup."""
        from llamakit.core.engine import limits
        from llamakit.core.engine.load import load_model

        tests = grid.tests()
        n_total, n_done = len(grid.setups()) * len(tests), 0
        for path, setups in groupby(grid.setups() if tests else [], key=lambda setup: setup.model):
            with closing(load_model(path)) as model:
                for setup in setups:
                    n_ctx = max(test.n_cells for test in tests)
                    with closing(self.open_context(model, setup, n_ctx)) as context:
                        for test in tests:
                            n_done += 1
                            self.note(f"benchmark {n_done}/{n_total}: {Path(path).name} {test.name}")
                            yield self.measure(setup, test, model, context, limits)

    def open_context(self, model: Model, setup: Setup, n_ctx: int) -> Context:
        from llamakit.core.engine.context import Context

        return Context(
            model,
            n_ctx=n_ctx,
            n_batch=setup.n_batch,
            n_ubatch=setup.n_ubatch,
            n_threads=setup.n_threads,
            n_threads_batch=setup.n_threads,
            type_k=setup.type_k,
            type_v=setup.type_v,
            has_head=not setup.embeddings,
            report=self.report,
        )

    def measure(self, setup: Setup, test: Workload, model: Model, context: Context, limits: Limits) -> Result:
        time.sleep(self.delay)
        test_time = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        if self.warmup:
            once(context, Workload(test.n_prompt, min(test.n_gen, 1)), model.n_vocab)
        context.truncate(0)
        samples = tuple(once(context, test, model.n_vocab) for _ in range(self.repetitions))
        context.truncate(0)
        return Result(
            setup,
            test,
            model.description,
            model.n_bytes,
            model.n_params,
            context.n_threads,
            test_time,
            samples,
            limit_ns(test, model, context.n_threads, limits, has_head=not setup.embeddings),
        )


def once(context: Context, test: Workload, n_vocab: int) -> int:
    """Nanoseconds of one run of the test behind the first `test.n_depth` cells, which are filled where they are not."""
    n_missing = test.n_depth - context.truncate(test.n_depth)
    if n_missing > 0:  # at first, and each time where layers remember
        context.prefill(random_tokens(n_missing, n_vocab))
    prompt, generated = random_tokens(test.n_prompt, n_vocab), random_tokens(test.n_gen, n_vocab)
    begin = time.perf_counter_ns()
    if prompt:
        context.prefill(prompt)
    for token in generated:
        context.step(token)
    return time.perf_counter_ns() - begin


def random_tokens(n: int, n_vocab: int) -> list[int]:
    return [random.randrange(n_vocab) for _ in range(n)]
