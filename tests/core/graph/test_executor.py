"""Threads that walk one program: every op on all of them, in order; asleep when there is nothing to do."""

from __future__ import annotations

import ctypes
import threading
import time

import numpy as np
import pytest

from llamakit.core.graph.executor import Executor
from llamakit.core.graph.program import ADDRESS, Step, link
from llamakit.core.kernels.elementwise import Elementwise
from llamakit.core.kernels.store import KernelStore
from llamakit.errors import UsageError

PITCH, N_ROWS = 16, 500


@pytest.fixture(scope="module")
def kernels():
    return KernelStore().load([*Executor.KERNELS, "elementwise.add", "elementwise.copy"])


@pytest.fixture
def executor(kernels, request):
    executor = Executor(kernels, getattr(request, "param", 3))
    yield executor
    executor.close()


class Doubling:
    """A program that doubles an array n times; each step needs the whole of the one before."""

    def __init__(self, kernels, n: int) -> None:
        self.a, self.b = np.zeros((2, N_ROWS, PITCH), np.float32)
        self.n_rows = np.array([N_ROWS])
        steps = []
        for i in range(n):
            x, out = (self.b, self.a) if i % 2 else (self.a, self.b)
            steps.append(Step("elementwise.add", Elementwise(a=x, b=x, out=out, pitch=PITCH, n_rows=self.n_rows,
                                                             activation=0, limit=0.0)))  # fmt: skip
        self.result = self.b if n % 2 else self.a
        self.program = link(steps, kernels)
        self.n = n

    def check(self, executor: Executor, n_threads: int | None = None) -> None:
        self.a[:] = np.arange(N_ROWS)[:, None]
        executor.run(self.program, n_threads)
        np.testing.assert_array_equal(self.result, np.arange(N_ROWS)[:, None] * 2.0**self.n + np.zeros(PITCH))


@pytest.mark.parametrize("executor", [1, 2, 3, 4], indirect=True)
def test_steps_follow_each_other_on_any_number_of_threads(executor, kernels):
    work = Doubling(kernels, 60)
    for _ in range(50):
        work.check(executor)


@pytest.mark.parametrize("executor", [4], indirect=True)
def test_a_run_may_use_fewer_threads_than_there_are(executor, kernels):
    work = Doubling(kernels, 20)
    rng = np.random.default_rng(0)
    for i in range(200):
        work.check(executor, int(rng.integers(1, 6)))  # more than there are means all
        if i % 50 == 0:
            time.sleep(0.01)  # they fall asleep in between


def test_each_thread_does_its_own_part_only(kernels):
    """Else a thread that never comes would go unnoticed above."""
    work = Doubling(kernels, 1)
    work.a[:] = 1
    entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(kernels["elementwise.add"])
    for thread in (0, 1, 3):
        entry(work.program.steps[0].record.data.ctypes.data, thread, 4)
    wanted = np.full(N_ROWS, 2)
    wanted[N_ROWS // 2 : N_ROWS * 3 // 4] = 0
    np.testing.assert_array_equal(work.b[:, 0], wanted)


def test_idle_workers_use_no_cpu(executor, kernels):
    work = Doubling(kernels, 4)
    work.check(executor)
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.05
    work.check(executor)


def test_workers_that_sleep_wake_for_the_next_run(executor, kernels):
    work = Doubling(kernels, 4)
    for pause in (0, 0.0005, 0.001, 0.002, 0.005, 0.02) * 5:  # about when they fall asleep
        work.check(executor)
        time.sleep(pause)


def test_two_executors_do_not_meet(kernels):
    one, other = Executor(kernels, 2), Executor(kernels, 2)
    try:
        works = Doubling(kernels, 30), Doubling(kernels, 31)
        threads = [
            threading.Thread(target=lambda w=w, e=e: [w.check(e) for _ in range(50)])
            for w, e in zip(works, (one, other), strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert not any(thread.is_alive() for thread in threads)
    finally:
        one.close()
        other.close()


@pytest.mark.parametrize("n_idle", [0, 0.02])
def test_close_ends_all_threads_and_may_be_called_twice(kernels, n_idle):
    before = threading.active_count()
    executor = Executor(kernels, 4)
    Doubling(kernels, 2).check(executor)
    assert threading.active_count() == before + 3
    time.sleep(n_idle)
    executor.close()
    executor.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("n_threads", [0, -1, 256])
def test_a_number_of_threads_that_cannot_be(kernels, n_threads):
    with pytest.raises(UsageError, match=f"cannot run on {n_threads} threads; choose 1 to 255"):
        Executor(kernels, n_threads)


def test_a_linked_program_holds_addresses_and_records(kernels):
    work = Doubling(kernels, 3)
    table = work.program.table
    assert table.ctypes.data % 64 == 0
    assert table.shape[1] % 64 == 0
    for row, step in zip(table, work.program.steps, strict=True):
        assert int(row[:ADDRESS].view(np.uint64)[0]) == kernels[step.kernel]
        assert row[ADDRESS : ADDRESS + step.record.size].tobytes() == bytes(step.record)
    assert work.program.kernels is kernels


def test_an_unknown_kernel_cannot_be_linked(kernels):
    step = Doubling(kernels, 1).program.steps[0]
    with pytest.raises(KeyError):
        link([Step("elementwise.no_such", step.record)], kernels)
