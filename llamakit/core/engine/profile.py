"""How long each op of a model takes, while a context computes."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from llamakit.core.graph.executor import Executor
from llamakit.core.graph.memory import aligned
from llamakit.core.graph.program import ADDRESS, Program, Step
from llamakit.core.graph.weights import Matrix
from llamakit.core.kernels.profile import STRIDE, Times
from llamakit.core.kernels.store import KernelStore
from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.core.engine.context import Context

KERNEL = "profile.walk"
Key = int | tuple[str, ...]  # a program, or its kernels


@dataclass
class OpTime:
    """One op of one program, over all its runs."""

    kernel: str  # without what it is specialized for: "gemv.rows"
    variant: str  # that: ":q4_k"
    weights: tuple[str, ...]  # tensors that it multiplies by
    n_threads: int
    seconds: float = 0.0
    n_runs: int = 0
    n_bytes: int = 0  # of weights, read
    n_flops: int = 0  # products and sums with weights

    @property
    def layer(self) -> int | None:
        """Of its weights; None where they are of no layer, or there are none."""
        first = self.weights[0] if self.weights else ""
        return int(first.split(".")[1]) if first.startswith("blk.") else None


@dataclass
class Runs:
    """Of one program, added up: as little as possible is done between two of them."""

    program: Program
    n_threads: int
    seconds: npt.NDArray[np.float64]  # (n_steps,)
    n_runs: int = 0
    counts: dict[int, int] = field(default_factory=dict)  # of rows and experts, by where their number is found

    def note(self, seconds: npt.NDArray[np.float64]) -> None:
        self.seconds += seconds
        self.n_runs += 1
        for address in self.counts:
            self.counts[address] += ctypes.c_int64.from_address(address).value


class Profile:
    """Times the programs of a context from `with` to its end; `ops` are those of each program, in order.

    Costs about 50 ns an op. Other threads may read it meanwhile. Raises UsageError while another profile is on.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self._runs: dict[Key, Runs] = {}

    @property
    def ops(self) -> list[OpTime]:
        matrices = self.context.weights.matrices()
        return [op for runs in list(self._runs.values()) for op in ops_of(runs, matrices)]

    @property
    def seconds(self) -> float:
        """All ops together."""
        return float(sum(runs.seconds.sum() for runs in list(self._runs.values())))

    def clear(self) -> None:
        """Forget what was timed so far."""
        self._runs = {}

    def __enter__(self) -> Profile:
        if isinstance(self.context.executor, TimedExecutor):
            raise UsageError("the context is being profiled already")
        self._plain = self.context.executor
        self.context.executor = TimedExecutor(self._plain, self)
        return self

    def __exit__(self, *_: object) -> None:
        self.context.executor = self._plain

    def note(self, program: Program, seconds: npt.NDArray[np.float64], n_threads: int) -> None:
        """One run of a program: the time of each of its ops."""
        found, key = self._runs, id(program)
        runs = found.get(key)
        if runs is None:
            products = [step for step in program.steps if has_weight(step)]
            places = {address_of(step.record.values["n_rows"]) for step in products}
            places |= {place for step in products if (place := matrix_count(step))}
            new = Runs(program, n_threads, np.zeros(len(program.steps)), counts=dict.fromkeys(places, 0))
            # Programs without products are made for one run and thrown away: those of the same kernels are one.
            runs = found.setdefault(key if products else tuple(step.kernel for step in program.steps), new)
        runs.note(seconds)


def ops_of(runs: Runs, matrices: Mapping[int, Matrix]) -> list[OpTime]:
    ops = []
    for step, seconds in zip(runs.program.steps, runs.seconds.tolist(), strict=True):
        kernel, _, variant = step.kernel.partition("[")
        op = OpTime(kernel, variant.rstrip("]"), (), runs.n_threads, seconds, runs.n_runs)
        matrix = matrices.get(address_of(step.record.values["weight"])) if has_weight(step) else None
        if matrix is not None:
            n_rows = runs.counts[address_of(step.record.values["n_rows"])]
            place = matrix_count(step)
            op.weights = matrix.names
            op.n_flops = 2 * n_rows * matrix.n_rows * matrix.width
            op.n_bytes = matrix.n_bytes * (runs.counts[place] if place else runs.n_runs)
        ops.append(op)
    return ops


def has_weight(step: Step) -> bool:
    """Is it a product?"""
    return step.record.values.get("weight") is not None and "n_rows" in step.record.values


def matrix_count(step: Step) -> int | None:
    """Where the number of experts' matrices that a product reads is found; None where there is one matrix."""
    values = step.record.values
    if values.get("choice") is not None:  # each row reads its own
        return address_of(values["n_rows"])
    grouping = values.get("grouping")
    return int(grouping.data.ctypes.data) + grouping.FIELDS["n_experts"].offset if grouping else None


def address_of(value: int | npt.NDArray[np.generic]) -> int:
    return value if isinstance(value, int) else int(value.ctypes.data)


class TimedExecutor(Executor):
    """Another executor's threads, whose walks are timed."""

    def __init__(self, plain: Executor, profile: Profile) -> None:
        self.__dict__.update(plain.__dict__)
        self._profile = profile
        self._own = KernelStore().load([*Executor.KERNELS, KERNEL])
        self._timed = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(self._own[KERNEL])
        self._plain_walk = self._walk
        self._clock = ctypes.cast(ctypes.CDLL(None).timespec_get, ctypes.c_void_p).value or 0

    def run(self, program: Program, n_threads: int | None = None) -> None:
        n_ops = len(program.steps)
        rows = aligned((n_ops + 1) * STRIDE).reshape(-1, STRIDE)
        rows[:, :ADDRESS].view(np.uint64)[:] = self._clock
        times = Times(rows=rows, n_rows=n_ops + 1)
        self._walk = lambda control: self._timed(control, times.data.ctypes.data)
        try:
            super().run(program, n_threads)
        finally:
            self._walk = self._plain_walk
        moments = rows[:, ADDRESS : ADDRESS + 16].copy().view(np.int64)
        seconds = np.diff((moments[:, 0] - moments[0, 0]) + moments[:, 1] / 1e9)
        self._profile.note(program, seconds, min(n_threads or self.n_threads, self.n_threads))
