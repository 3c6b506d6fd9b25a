"""Rows of weights to packed bytes, into memory that the caller gives: what `quantize` and the command stand on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
import numpy.typing as npt

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.calls import load, run
from llamakit.core.kernels.floats import Check, Convert
from llamakit.core.kernels.pack import Pack, Packing, RowSizes, Source
from llamakit.core.kernels.repack import RepackUnit
from llamakit.core.quants.base import PLAIN, Bytes, Floats, QuantType, find_type
from llamakit.errors import UsageError

Rows = npt.NDArray[np.float32] | npt.NDArray[np.float16] | npt.NDArray[np.uint16]
"""Weights as a file has them: float32, float16, or bfloat16 as the upper half of a float32."""

SOURCES = {np.dtype("<f4"): Source.F32, np.dtype("<f2"): Source.F16, np.dtype("<u2"): Source.BF16}
CHUNK = 1 << 19  # values that a thread takes at once: some milliseconds of a search


def pack(rows: Rows, type: GGMLType, imatrix: Floats | None, out: Bytes, n_threads: int | None = None) -> None:
    """Fill `out` with the packed rows.

    rows: (n_rows, n) contiguous float32, float16, or uint16 that holds bfloat16; n whole blocks of the type.
    imatrix: (n,) contiguous float32, the mean square of what each column is multiplied with, or None.
    out: (n_rows, row_bytes) contiguous uint8. n_threads: None for all cores.
    Each row depends on nothing but itself. Raises UsageError when sizes do not fit or when the type needs an imatrix
    and has none. Values that are not finite give blocks of no meaning.
    """
    quant = find_type(type)
    n_rows, n = rows.shape
    if out.shape != (n_rows, quant.row_bytes(n)):
        raise UsageError(f"{type.name}: rows {rows.shape} need {(n_rows, quant.row_bytes(n))} bytes, not {out.shape}")
    if imatrix is None and quant.needs_imatrix:
        raise UsageError(f"{type.name} needs an importance matrix")
    if imatrix is not None and imatrix.shape != (n,):
        raise UsageError(f"the importance matrix has shape {imatrix.shape}, the rows have {n} columns")
    source, kind, n_chunks = rows.view(np.uint8), SOURCES[rows.dtype], -(-rows.size // CHUNK)
    packing, name = choose(quant, imatrix is not None)
    if packing is None:
        run(name, Convert(source=source, kind=kind, out=out, n=rows.size), n_chunks, n_threads)
        return
    record = Pack(
        source=source,
        kind=kind,
        out=out,
        n_blocks=rows.size // quant.n_values,
        row_blocks=n // quant.n_values,
        importance=imatrix if packing.is_weighted else None,
        mean_squares=row_sizes(rows, n_threads) if packing.has_row_size else None,
        table=packing.tables() if packing.tables else None,
        units=unit_table(packing).view(np.uint8),
        n_units=len(packing.units),
    )
    run(name, record, n_chunks, n_threads)


def choose(quant: QuantType, has_imatrix: bool) -> tuple[Packing | None, str]:
    """How a type is packed, None for floats, and the name of the kernel."""
    name = quant.type.name.lower()
    if quant.type.name in PLAIN:
        return None, f"floats.convert[{name}]"
    if quant.packing is None or (has_imatrix and quant.weighted is not None):
        return quant.weighted, f"pack.blocks[:{name}.WEIGHTED]"
    return quant.packing, f"pack.blocks[:{name}.PACKING]"


def prepare(types: Iterable[GGMLType], has_imatrix: bool, report: Callable[[str], None] = lambda name: None) -> None:
    """Load the kernels of some types; those that are not on disk are compiled, several at once."""
    load([*(choose(find_type(type), has_imatrix)[1] for type in types), "pack.row_sizes", "floats.check"], report)


def is_finite(rows: Rows, n_threads: int | None = None) -> bool:
    """Whether every value is a number."""
    found = np.zeros(1, np.int64)
    record = Check(source=rows.view(np.uint8), kind=SOURCES[rows.dtype], n=rows.size, found=found)
    run("floats.check", record, -(-rows.size // CHUNK), n_threads)
    return not found[0]


def row_sizes(rows: Rows, n_threads: int | None) -> Floats:
    """The mean square of each row.   (n_rows, n) -> (n_rows,)"""
    out = np.empty(len(rows), np.float32)
    n = rows.shape[1]
    record = RowSizes(source=rows.view(np.uint8), kind=SOURCES[rows.dtype], out=out, n_rows=len(rows), n=n)
    run("pack.row_sizes", record, -(-rows.size // CHUNK), n_threads)
    return out


@cache
def unit_table(packing: Packing) -> npt.NDArray[np.void]:
    """The units as the kernel reads them."""
    table = np.zeros(len(packing.units), RepackUnit.dtype)
    for i, unit in enumerate(packing.units):
        table[i] = tuple(unit)
    return table
