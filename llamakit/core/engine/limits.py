"""Measured limits of this machine: what a kernel's speed is held against."""

from __future__ import annotations

import time
from functools import cache

import numpy as np

from llamakit.core.graph.executor import Executor
from llamakit.core.graph.memory import aligned
from llamakit.core.graph.program import Step, link
from llamakit.core.kernels.limits import Limit, n_chains
from llamakit.core.kernels.store import KernelStore

READ_BYTES = 256 << 20  # well beyond the caches
ROUNDS, OPS_A_DOT = 1_000_000, 128


def best_time(name: str, record: Limit, n_threads: int, n_tries: int) -> float:
    """Seconds of the fastest run."""
    kernels = KernelStore().load([*Executor.KERNELS, name])
    executor, program = Executor(kernels, n_threads), link([Step(name, record)], kernels)
    try:
        times = []
        for _ in range(n_tries):
            start = time.perf_counter()
            executor.run(program)
            times.append(time.perf_counter() - start)
        return min(times)
    finally:
        executor.close()


@cache
def read_bandwidth(n_threads: int) -> float:
    """Bytes a second that n_threads read from memory; measured once in a process."""
    source, out = aligned(READ_BYTES), aligned(64 * n_threads).view(np.float32)
    source[:] = 1  # pages that were never written are all one page
    record = Limit(source=source, n_bytes=READ_BYTES, n_rounds=0, out=out)
    return READ_BYTES / best_time("limits.read", record, n_threads, n_tries=5)


@cache
def int8_peak(n_threads: int) -> float:
    """Integer operations (a product or a sum) a second in dots of bytes, on n_threads; measured once in a process."""
    source, out = aligned(1024), aligned(64 * n_threads).view(np.float32)
    source[:] = 1
    record = Limit(source=source, n_bytes=1024, n_rounds=ROUNDS, out=out)
    seconds = best_time(f"limits.dots[{n_chains()}]", record, n_threads, n_tries=3)
    return ROUNDS * n_chains() * OPS_A_DOT * n_threads / seconds
