"""Rows of weights to packed bytes, into memory that the caller gives: what `quantize` and the command stand on."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.pack import Pack, Packing, Source
from llamakit.core.kernels.repack import RepackUnit
from llamakit.core.kernels.store import Kernels, KernelStore
from llamakit.core.quants.base import Bytes, Floats, QuantType, find_type
from llamakit.errors import UsageError

Rows = npt.NDArray[np.float32] | npt.NDArray[np.float16] | npt.NDArray[np.uint16]
"""Weights as a file has them: float32, float16, or bfloat16 as the upper half of a float32."""

SOURCES = {np.dtype("<f4"): Source.F32, np.dtype("<f2"): Source.F16, np.dtype("<u2"): Source.BF16}
CHUNK = 1 << 19  # values that a thread takes at once: a few milliseconds of the slowest search


def pack(rows: Rows, type: GGMLType, imatrix: Floats | None, out: Bytes, n_threads: int | None = None) -> None:
    """Fill `out` with the packed rows.

    rows: (n_rows, n) contiguous float32, float16, or uint16 that holds bfloat16; n whole blocks of the type.
    imatrix: (n,) contiguous float32, the mean square of what each column is multiplied with, or None.
    out: (n_rows, row_bytes) contiguous uint8. Each row depends on nothing but itself. Raises UsageError when sizes do
    not fit or when the type needs an imatrix and has none. Values that are not finite give blocks of no meaning.
    """
    quant = find_type(type)
    n_rows, n = rows.shape
    if out.shape != (n_rows, quant.row_bytes(n)):
        raise UsageError(f"{type.name}: rows {rows.shape} need {(n_rows, quant.row_bytes(n))} bytes, not {out.shape}")
    if imatrix is None and quant.needs_imatrix:
        raise UsageError(f"{type.name} needs an importance matrix")
    if imatrix is not None and imatrix.shape != (n,):
        raise UsageError(f"the importance matrix has shape {imatrix.shape}, the rows have {n} columns")
    if not isinstance(quant.packing, Packing):
        pack_slowly(rows, quant, imatrix, out)
        return
    is_weighted = imatrix is not None and quant.weighted is not None
    packing = quant.weighted if is_weighted else quant.packing
    record = Pack(
        source=rows.view(np.uint8),
        kind=SOURCES[rows.dtype],
        out=out,
        n_blocks=n_rows * (n // quant.n_values),
        row_blocks=n // quant.n_values,
        importance=imatrix if is_weighted else None,
        mean_squares=mean_squares(rows) if is_weighted else None,
        table=None,
        units=unit_table(packing).view(np.uint8),
        n_units=len(packing.units),
    )
    run(kernel_name(type, is_weighted), record, -(-rows.size // CHUNK), n_threads or n_cores())


def mean_squares(rows: Rows) -> Floats:
    """Of each row, its squares added up from first to last.   -> (n_rows,)"""
    return np.zeros(len(rows), np.float32)


def n_cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


def pack_slowly(rows, quant, imatrix, out):
    n_rows, n = rows.shape
    step = max(1, (1 << 18) // max(1, n))
    with np.errstate(all="ignore"):
        for start in range(0, n_rows, step):
            slab = rows[start : start + step]
            if slab.dtype == np.uint16:
                slab = (slab.astype(np.uint32) << 16).view(np.float32)
            floats = np.ascontiguousarray(slab, np.float32)
            out[start : start + step] = quant.packing(floats, imatrix).view(np.uint8).reshape(len(slab), -1)


def kernel_name(type: GGMLType, is_weighted: bool) -> str:
    return f"pack.blocks[:{type.name.lower()}.{'WEIGHTED' if is_weighted else 'PACKING'}]"


@cache
def unit_table(packing: Packing) -> npt.NDArray[np.void]:
    table = np.zeros(len(packing.units), RepackUnit.dtype)
    for i, unit in enumerate(packing.units):
        table[i] = tuple(unit)
    return table


LOADED: dict[str, tuple[Kernels, Callable[[int, int, int], None]]] = {}


def prepare(
    types: Iterable[GGMLType], with_imatrix: bool, report: Callable[[str], None] = lambda name: None
) -> None:
    """Load the kernels of some types, compiling those that are not on disk, several at once."""
    names = {kernel_name(type, with_imatrix and find_type(type).weighted is not None) for type in types}
    load(sorted(names - LOADED.keys()), report)


def load(names: list[str], report: Callable[[str], None] = lambda name: None) -> None:
    if names:
        kernels = KernelStore().load(names, report=report)
        entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        LOADED.update((name, (kernels, entry(kernels[name]))) for name in names)


def run(name: str, record: Any, n_chunks: int, n_threads: int) -> None:
    """Call a kernel chunk by chunk, on n_threads threads: whoever is free takes the next."""
    load([name] if name not in LOADED else [])
    call, address = LOADED[name][1], record.data.ctypes.data
    if min(n_chunks, n_threads) <= 1:
        call(address, 0, 1)
        return
    with ThreadPoolExecutor(min(n_chunks, n_threads)) as pool:
        for _ in pool.map(lambda chunk: call(address, chunk, n_chunks), range(n_chunks)):
            pass
