"""Where the C library keeps memory: in one place rather than in one for each thread.

Threads come and go with requests, and each of glibc's arenas keeps the most that a thread in it ever had: of a server's
memory, half would be such leftovers.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys

M_ARENA_MAX = -8  # of glibc's mallopt


def use_one_arena() -> None:
    """To be called before there are threads. Nothing happens where the C library is another one."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):
            ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
