"""Kernels called one by one from Python, outside a program: loaded when first needed and kept."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from llamakit.core.kernels.store import Kernels, KernelStore
from llamakit.core.simd.records import Record

Call = Callable[[int, int, int], None]  # address of the record, thread, number of threads

_LOADED: dict[str, tuple[Kernels, Call]] = {}  # the kernels own the code
_LOADING = threading.Lock()


def load(names: Iterable[str], report: Callable[[str], None] = lambda name: None) -> None:
    """Load kernels, several at once; those that are not on disk are compiled first, `report(name)` after each."""
    wanted = set(names)
    if wanted <= _LOADED.keys():
        return
    with _LOADING:
        missing = sorted(wanted - _LOADED.keys())
        kernels = KernelStore().load(missing, report=report)
        entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        _LOADED.update((name, (kernels, entry(kernels[name]))) for name in missing)


def run(name: str, record: Record, n_chunks: int, n_threads: int | None = None) -> None:
    """Call a kernel for each of n_chunks parts of its work; of n_threads threads whoever is free takes the next.

    n_threads: None for all cores that this process may use. The GIL is free meanwhile.
    """
    load([name])
    call, address = _LOADED[name][1], record.data.ctypes.data
    n_threads = min(n_chunks, n_threads or n_cores())
    if n_threads <= 1:
        call(address, 0, 1)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        for _ in pool.map(lambda chunk: call(address, chunk, n_chunks), range(n_chunks)):
            pass


def n_cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1
