"""A table of op records that threads walk: each row is a kernel's address and its filled record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from llamakit.core.graph.memory import LINE, aligned
from llamakit.core.kernels.store import Kernels
from llamakit.core.simd.records import Record

ADDRESS = 8  # bytes in front of each record


class Step(NamedTuple):
    """One op: a kernel's name and what it reads. With an `address`, other code is called in the kernel's place."""

    kernel: str
    record: Record
    address: int = 0


@dataclass(frozen=True)
class Program:
    """Linked steps. Keeps the records, and with them the arrays they point to, and the code alive."""

    steps: tuple[Step, ...]
    kernels: Kernels
    table: npt.NDArray[np.uint8]


def link(steps: list[Step], kernels: Kernels) -> Program:
    """Rows of one width: the kernel's address, then the record."""
    width = -(-(ADDRESS + max(s.record.size for s in steps)) // LINE) * LINE
    table = aligned(len(steps) * width).reshape(-1, width)
    for row, step in zip(table, steps, strict=True):
        row[:ADDRESS] = np.frombuffer(np.uint64(step.address or kernels[step.kernel]).tobytes(), np.uint8)
        row[ADDRESS : ADDRESS + step.record.size] = np.frombuffer(bytes(step.record), np.uint8)
    return Program(tuple(steps), kernels, table)
