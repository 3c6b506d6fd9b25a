"""Tensor types: floats to blocks of bytes and back, byte for byte as ggml does it.

`quantize(weights, "q4_k")` packs rows (n_rows, n) into bytes (n_rows, row_bytes); `dequantize` unpacks them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants.base import Bytes, Floats, QuantType, available, find_type, parse_type
from llamakit.errors import UsageError

__all__ = ["QuantType", "available", "dequantize", "find_type", "parse_type", "quantize"]

# Values worked on at once: enough to hide the cost of a NumPy call, and the dozen arrays of a search stay near 12 MB.
SLAB = 1 << 18


def dequantize(data: npt.ArrayLike, type: GGMLType | str | int) -> Floats:
    """Floats of packed rows.

    data: the rows' bytes, an array of any dtype or lists of bytes, shape (..., row_bytes): a last axis of whole blocks.
    Returns (..., n) float32. Any bytes are accepted: a block whose scale is not a number gives NaN. Raises UsageError
    for a type without a file here or for a last axis that is not whole blocks.
    """
    quant = find_type(parse_type(type))
    array = as_array(data, "data", of_lists=np.uint8)
    packed = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).view(np.uint8)
    if packed.shape[-1] % quant.n_bytes:
        raise UsageError(
            f"{quant.type.name} has {quant.n_bytes} bytes a block; {packed.shape[-1]} are not whole blocks"
        )
    blocks = packed.reshape(-1).view(quant.layout)
    floats = np.empty((len(blocks), quant.n_values), np.float32)
    step = SLAB // quant.n_values
    with np.errstate(all="ignore"):
        for start in range(0, len(blocks), step):
            floats[start : start + step] = quant.dequantize(blocks[start : start + step])
    return floats.reshape(*packed.shape[:-1], packed.shape[-1] // quant.n_bytes * quant.n_values)


def quantize(
    weights: npt.ArrayLike,
    type: GGMLType | str | int,
    imatrix: npt.ArrayLike | None = None,
    n_threads: int | None = None,
) -> Bytes:
    """Packed rows of floats.

    weights: (..., n) of any float dtype, n whole blocks; imatrix: (n,) mean square of what each column is multiplied
    with, or None; n_threads: None for all cores. Returns (..., row_bytes) uint8. Each row depends on nothing but
    itself. Raises UsageError when the sizes do not fit, when the type needs an imatrix and has none, or when numbers of
    it are negative or not finite. Weights that are not finite neither raise nor warn, but their blocks mean nothing.
    """
    from llamakit.core.quants.packing import Rows, pack

    quant = find_type(parse_type(type))
    weights = as_array(weights, "weights")
    n = weights.shape[-1]
    flat = weights.reshape(-1, n)
    rows: Rows
    if weights.dtype == np.float16:
        rows = np.ascontiguousarray(flat, np.float16)
    else:
        rows = np.ascontiguousarray(flat, np.float32)
    packed = np.empty((len(rows), quant.row_bytes(n)), np.uint8)
    importance = None if imatrix is None else np.ascontiguousarray(as_array(imatrix, "imatrix"), np.float32)
    if importance is not None and not ((importance >= 0) & (importance < np.inf)).all():  # NaN is neither
        raise UsageError("imatrix: means of squares are finite and not below 0; compute the matrix anew")
    pack(rows, quant.type, importance, packed, n_threads)
    return packed.reshape(*weights.shape[:-1], packed.shape[-1])


def as_array(values: npt.ArrayLike, name: str, of_lists: type[np.uint8] | None = None) -> npt.NDArray[Any]:
    """Numbers in one dimension or more; lists become arrays of `of_lists`. Raises UsageError for anything else."""
    try:
        array = np.asarray(values, None if isinstance(values, np.ndarray) else of_lists)
    except (ValueError, TypeError, OverflowError) as error:
        raise UsageError(f"{name}: {error}") from None
    if array.dtype.kind in "OSUMmc" or not array.ndim:  # other kinds hold plain numbers, V those of other packages
        raise UsageError(f"{name}: an array of numbers is wanted, not {values!r:.60}")
    return array
