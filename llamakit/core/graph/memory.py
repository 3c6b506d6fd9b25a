"""Memory that kernels work in: on cache lines, and owned by whoever hands out its address."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LINE = 64


def aligned(n_bytes: int, is_zeroed: bool = True) -> npt.NDArray[np.uint8]:
    """Bytes that start on a cache line; the system gives pages as they are touched."""
    raw = np.zeros(n_bytes + LINE, np.uint8) if is_zeroed else np.empty(n_bytes + LINE, np.uint8)
    return raw[-raw.ctypes.data % LINE :][:n_bytes]
