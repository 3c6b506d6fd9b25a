"""Threads that walk a program. ctypes releases the GIL for the time of a call, so workers are plain threads."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from llamakit.core.graph.memory import aligned
from llamakit.core.graph.program import Program
from llamakit.core.kernels.executor import MOST_THREADS, Control, Worker
from llamakit.core.kernels.store import Kernels
from llamakit.errors import UsageError


class Executor:
    """The caller and n_threads - 1 workers; after a millisecond without work the workers sleep.

    One thread at a time may call `run`. UsageError when n_threads is not 1 to 255.
    """

    KERNELS = ("executor.publish", "executor.walk", "executor.work")

    def __init__(self, kernels: Kernels, n_threads: int) -> None:
        if not 1 <= n_threads <= MOST_THREADS:
            raise UsageError(f"cannot run on {n_threads} threads; choose 1 to {MOST_THREADS}")
        self.kernels, self.n_threads = kernels, n_threads  # the kernels own the code that runs
        pointer, number = ctypes.c_void_p, ctypes.c_int64
        self._publish = ctypes.CFUNCTYPE(None, pointer)(kernels["executor.publish"])
        self._walk: Callable[[int], None] = ctypes.CFUNCTYPE(None, pointer)(kernels["executor.walk"])
        self._work = ctypes.CFUNCTYPE(None, pointer, pointer, number)(kernels["executor.work"])
        self._memory = aligned(-(-Control.size // 64) * 64 + n_threads * Worker.size)
        self._control = self._memory[: Control.size].view(Control.dtype)[0]
        self._address = self._memory.ctypes.data
        first = -(-Control.size // 64) * 64
        self._workers = self._memory[first:].view(Worker.dtype)
        self._wake = [threading.Semaphore(0) for _ in range(n_threads)]
        self._threads = [
            threading.Thread(target=self._live, args=(i,), name=f"kernels-{i}", daemon=True)
            for i in range(1, n_threads)
        ]
        for thread in self._threads:
            thread.start()

    def _live(self, i: int) -> None:
        """A worker thread: in compiled code while there is work, asleep here otherwise."""
        own = self._workers[i : i + 1].ctypes.data
        while True:
            self._work(self._address, own, i)
            if self._control["is_stopping"]:
                return
            self._wake[i].acquire()

    def run(self, program: Program, n_threads: int | None = None) -> None:
        """Walk the program once, on all threads or on the first n_threads."""
        n = min(n_threads or self.n_threads, self.n_threads)
        control = self._control
        if control["is_stopping"]:
            raise UsageError("the context is closed: its threads have ended")
        control["ops"] = program.table.ctypes.data
        control["n_ops"], control["stride"] = program.table.shape
        control["n_threads"] = n
        if n > 1:
            self._publish(self._address)
            self._wake_sleepers(n)
        self._walk(self._address)

    def _wake_sleepers(self, n_threads: int) -> None:
        asleep: npt.NDArray[np.int64] = self._workers["asleep"]
        for i in range(1, n_threads):
            if asleep[i, 0]:
                self._wake[i].release()

    def close(self) -> None:
        """End the workers."""
        if not self._control["is_stopping"]:
            self._control["is_stopping"] = 1
            self._control["n_threads"] = self.n_threads
            self._publish(self._address)
            for i, thread in enumerate(self._threads, start=1):
                self._wake[i].release()
                thread.join()
