"""Rows of weights to packed bytes, into memory that the caller gives: what `quantize` and the command stand on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants.base import Bytes, Floats, find_type
from llamakit.errors import UsageError

SLAB = 1 << 18  # values at once


def pack(
    rows: npt.NDArray[np.float32] | npt.NDArray[np.float16] | npt.NDArray[np.uint16],
    type: GGMLType,
    imatrix: Floats | None,
    out: Bytes,
    n_threads: int = 1,
) -> None:
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
    step = max(1, SLAB // max(1, n))
    with np.errstate(all="ignore"):
        for start in range(0, n_rows, step):
            slab = rows[start : start + step]
            if slab.dtype == np.uint16:
                slab = (slab.astype(np.uint32) << 16).view(np.float32)
            floats = np.ascontiguousarray(slab, np.float32)
            out[start : start + step] = quant.quantize(floats, imatrix).view(np.uint8).reshape(len(slab), -1)
