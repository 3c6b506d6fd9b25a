"""Running single kernels: compiled once into the user's cache, called for each thread in turn."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest

from llamakit.core.kernels.store import Kernels, KernelStore
from llamakit.core.simd.records import Record

SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
RunKernel = Callable[..., None]


def make_runner() -> RunKernel:
    """run_kernel(name, record, n_threads=1): the parts of all threads, one after the other."""
    store = KernelStore()
    loaded: dict[str, Kernels] = {}

    def run(name: str, record: Record, n_threads: int = 1) -> None:
        if name not in loaded:
            loaded[name] = store.load([name])
        for thread in range(n_threads):
            SIGNATURE(loaded[name][name])(record.data.ctypes.data, thread, n_threads)

    return run


@pytest.fixture(scope="session")
def run_kernel() -> RunKernel:
    return make_runner()
