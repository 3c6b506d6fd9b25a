"""XXH64 with the methods of `hashlib`: a compiled kernel takes the stripes, Python the beginning and the end.

Source: the xxHash specification.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np

from llamakit.core.kernels.store import Kernels, KernelStore
from llamakit.core.kernels.xxh64 import STRIPE, Stripes

P1, P2, P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P4, P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
WORD = (1 << 64) - 1


class XXH64:
    """A running checksum with seed 0. `update` lets other threads run meanwhile."""

    name = "xxh64"

    def __init__(self) -> None:
        self._lanes = np.array([(P1 + P2) & WORD, P2, 0, -P1 & WORD], np.uint64)
        self._rest = b""  # the bytes since the last whole stripe
        self._n_bytes = 0

    def update(self, data: bytes | memoryview, /) -> None:
        """Go on with these bytes."""
        data = memoryview(data)
        self._n_bytes += len(data)
        if self._rest:
            n = min(STRIPE - len(self._rest), len(data))
            self._rest += data[:n].tobytes()
            data = data[n:]
            if len(self._rest) < STRIPE:
                return
            self._mix(self._rest)
        n_whole = len(data) // STRIPE * STRIPE
        self._mix(data[:n_whole])
        self._rest = data[n_whole:].tobytes()

    def hexdigest(self) -> str:
        """The checksum of all so far: 16 hexadecimal digits."""
        lanes = [int(lane) for lane in self._lanes]
        if self._n_bytes < STRIPE:
            total = P5
        else:
            total = sum(map(rotated, lanes, (1, 7, 12, 18))) & WORD
            for lane in lanes:
                total = ((total ^ mixed(0, lane)) * P1 + P4) & WORD
        total = (total + self._n_bytes) & WORD
        return f"{scattered(with_rest(total, self._rest)):016x}"

    def _mix(self, data: bytes | memoryview) -> None:
        """Take whole stripes."""
        if data:
            words = np.frombuffer(data, np.uint8)
            record = Stripes(words=words, lanes=self._lanes.view(np.int64), n_stripes=len(data) // STRIPE)
            kernel()(record.data.ctypes.data, 0, 1)


def with_rest(total: int, rest: bytes) -> int:
    """Mix in what is no whole stripe: words of 8 bytes, one of 4, single bytes."""
    n_words = len(rest) // 8 * 8
    for i in range(0, n_words, 8):
        word = int.from_bytes(rest[i : i + 8], "little")
        total = (rotated(total ^ mixed(0, word), 27) * P1 + P4) & WORD
    rest = rest[n_words:]
    if len(rest) >= 4:
        half = int.from_bytes(rest[:4], "little")
        total = (rotated(total ^ (half * P1 & WORD), 23) * P2 + P3) & WORD
        rest = rest[4:]
    for byte in rest:
        total = rotated(total ^ (byte * P5 & WORD), 11) * P1 & WORD
    return total


def scattered(total: int) -> int:
    """Every bit of the sum reaches every bit of the checksum."""
    total = (total ^ total >> 33) * P2 & WORD
    total = (total ^ total >> 29) * P3 & WORD
    return total ^ total >> 32


def mixed(lane: int, word: int) -> int:
    """One round, as the kernel does it."""
    return rotated((lane + word * P2) & WORD, 31) * P1 & WORD


def rotated(x: int, n: int) -> int:
    return (x << n | x >> (64 - n)) & WORD


@cache
def kernel() -> Any:
    """The kernel as a function of (record, thread, n_threads); KernelError if it cannot be compiled."""
    kernels = loaded()
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(kernels["xxh64.stripes"])


@cache
def loaded() -> Kernels:
    """Kept, as it owns the machine code; linked without the self-test of vector instructions, which it has none of."""
    return KernelStore().link(["xxh64.stripes"], n_processes=1, report=lambda name: None)
