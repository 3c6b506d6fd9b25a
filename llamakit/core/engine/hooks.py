"""Python functions that are called while a program runs, with values of its graph in their hands.

A step of the program is a call back into Python: its threads wait while one of them runs the function, which reads or
changes the rows where they lie. A program without such steps knows nothing of this.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from llamakit.core.graph.program import Step
from llamakit.core.graph.tap import Rows
from llamakit.core.kernels.batch import Batch, Run
from llamakit.core.kernels.hook import Hook

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Moment:
    """A value while a program runs: `rows`, float32 (n, width), are those of the arena, and may be written.

    `positions` and `sequences` have one number for each row.
    """

    names: tuple[str, ...]
    rows: Floats
    positions: npt.NDArray[np.int32]
    sequences: npt.NDArray[np.int64]


class Hooks:
    """An observer (see `graph/tap.py`) that calls `function` for each watched value, whenever there are rows of it.

    What it raises is raised by `check`, after the run: the threads must not be left waiting.
    """

    def __init__(self, function: Callable[[Moment], None]) -> None:
        self._function = function
        self._watched: list[tuple[tuple[str, ...], Rows]] = []
        self._error: BaseException | None = None
        self._entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(self._called)

    def wants(self, name: str) -> bool:
        """No inputs of products: values are named one by one."""
        return False

    def steps(self, names: tuple[str, ...], rows: Rows) -> list[Step]:
        self._watched.append((names, rows))
        address = ctypes.cast(self._entry, ctypes.c_void_p).value
        assert address is not None
        return [Step("hook", Hook(number=len(self._watched) - 1), address)]

    def check(self) -> None:
        """Raises what a function has raised since the last time."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _called(self, record: int, thread: int, n_threads: int) -> None:
        """On every thread; the first one does the work. Nothing may be raised through compiled code."""
        if thread or self._error is not None:
            return
        try:
            number = ctypes.c_int64.from_address(record).value
            names, rows = self._watched[number]
            self._function(moment(names, rows))
        except BaseException as error:
            self._error = error


def moment(names: tuple[str, ...], rows: Rows) -> Moment:
    """The rows of a watched value as they are now."""
    n, batch = ctypes.c_int64.from_address(rows.n_rows).value, rows.batch
    array: Floats = np.ctypeslib.as_array((ctypes.c_float * (n * rows.pitch)).from_address(rows.address))
    which = output_rows(batch, n) if rows.n_rows == address_of(batch, "n_outputs") else np.arange(n)
    positions: Any = batch.values["positions"]
    sequences = np.repeat(*[runs_of(batch)[field] for field in ("seq", "n_tokens")])
    return Moment(names, array.reshape(n, rows.pitch)[:, : rows.width], positions[which], sequences[which])


def output_rows(batch: Batch, n: int) -> npt.NDArray[np.int32]:
    rows: npt.NDArray[np.int32] = batch.values["outputs"][:n]
    return rows


def runs_of(batch: Batch) -> Any:
    return batch.values["runs"].view(Run.dtype)[: int(batch.data["n_runs"])]


def address_of(batch: Batch, field: str) -> int:
    return int(batch.data.ctypes.data) + Batch.FIELDS[field].offset
