"""Memory that kernels work in: on cache lines, and owned by whoever hands out its address."""

from __future__ import annotations

import mmap

import numpy as np
import numpy.typing as npt

LINE = 64
CHUNK = 32 << 20  # of an arena


def aligned(n_bytes: int, is_zeroed: bool = True) -> npt.NDArray[np.uint8]:
    """Bytes that start on a cache line; the system gives pages as they are touched."""
    raw = np.zeros(n_bytes + LINE, np.uint8) if is_zeroed else np.empty(n_bytes + LINE, np.uint8)
    return raw[-raw.ctypes.data % LINE :][:n_bytes]


class Arena:
    """Many pieces of zeroed memory, on huge pages where the system has them.

    Small pages, each handed out and zeroed on its own, cost a third of the start of a small model.
    """

    def __init__(self) -> None:
        self._rest = np.empty(0, np.uint8)

    def take(self, n_bytes: int) -> npt.NDArray[np.uint8]:
        """Bytes that start on a cache line."""
        size = -(-n_bytes // LINE) * LINE
        if size > len(self._rest):
            self._rest = huge(max(size, CHUNK))
        taken, self._rest = self._rest[:n_bytes], self._rest[size:]
        return taken


def huge(n_bytes: int) -> npt.NDArray[np.uint8]:
    """Zeros on pages of their own; the system gives them as they are touched."""
    memory = mmap.mmap(-1, n_bytes)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, np.uint8)
