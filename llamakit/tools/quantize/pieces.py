"""The work itself: some rows of one tensor read, packed and written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt

from llamakit.core.gguf.layout import row_bytes
from llamakit.core.gguf.types import GGMLType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.core.quants import available, dequantize
from llamakit.core.quants.packing import Rows as Weights
from llamakit.core.quants.packing import pack
from llamakit.errors import GGUFError
from llamakit.tools.quantize.finite import are_finite, are_scales_finite, first_wrong
from llamakit.tools.quantize.plan import FLOATS, PlannedTensor

Rows = npt.NDArray[np.generic]
Buffers = SimpleQueue[npt.NDArray[np.uint8]]  # memory that is free for packed rows

PIECE = 1 << 19  # values in a piece, or a row if that has more


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows `first` to `last` (not included) of a tensor, all of the same matrix."""

    tensor: PlannedTensor
    writer: GGUFWriter
    rows: Rows  # (n_rows, ...) of the whole tensor as the file has them
    importance: npt.NDArray[np.float32] | None  # (n,) of this matrix
    first: int
    last: int

    @property
    def is_last(self) -> bool:
        return self.last == len(self.rows)

    @property
    def source_bytes(self) -> int:
        return self.tensor.source.n_bytes // len(self.rows) * (self.last - self.first)


def pieces_of(tensor: PlannedTensor, writer: GGUFWriter) -> Iterator[Piece]:
    """Cut a tensor into pieces that can be worked on in any order."""
    source = tensor.source
    if tensor.is_copied and not _has_values(source.type):  # integers and the like, of any shape
        whole = source.raw.reshape(1, -1)
        yield Piece(tensor, writer, whole, None, 0, 1)
        return
    n = source.shape[0]
    data = source.data
    rows = data.reshape(-1, data.shape[-1])
    n_matrices = source.shape[2] if len(source.shape) > 2 else 1
    per_matrix = len(rows) // n_matrices
    importance = None
    if tensor.importance is not None:
        importance = np.ascontiguousarray(tensor.importance.importance.reshape(-1, n))
    step = max(1, PIECE // n)
    for matrix in range(n_matrices):
        end = (matrix + 1) * per_matrix
        of_matrix = None if importance is None else importance[matrix]
        for first in range(matrix * per_matrix, end, step):
            yield Piece(tensor, writer, rows, of_matrix, first, min(first + step, end))


def buffer_bytes(tensor: PlannedTensor) -> int:
    """The most bytes that a piece of a tensor is packed into."""
    n = tensor.source.shape[0]
    return 0 if tensor.is_copied else max(1, PIECE // n) * row_bytes(n, tensor.type)


def work_on(piece: Piece, buffers: Buffers) -> None:
    """Read, check, pack and write a piece. Raises GGUFError for weights that are not finite."""
    tensor, source = piece.tensor, piece.tensor.source
    slab = piece.rows[piece.first : piece.last]
    if tensor.is_copied:
        if _has_values(source.type) and not _is_sound(slab, source.type):
            raise _wrong(piece, slab)
        raw = np.ascontiguousarray(slab, slab.dtype.newbyteorder("<")).reshape(-1).view(np.uint8)
        _write(piece, raw)
        return
    weights = as_floats(slab, source.type)
    if not are_finite(weights):
        raise _wrong(piece, slab)
    buffer = buffers.get()
    try:
        per_row = row_bytes(source.shape[0], tensor.type)
        packed = buffer[: per_row * len(weights)].reshape(-1, per_row)
        pack(weights, tensor.type, piece.importance, packed, n_threads=1)
        if not are_scales_finite(packed, tensor.type):
            message = f"tensor {source.name!r} has weights too large for {tensor.type.name}; keep it with --tensor-type"
            raise GGUFError(source.source.path, source.offset, message)
        _write(piece, packed.reshape(-1))
    finally:
        buffers.put(buffer)


def as_floats(slab: Rows, type_: GGMLType) -> Weights:
    """Rows of a file as the quantizers take them: float32, float16, or bfloat16 in a uint16; copied only if need be."""
    if type_ is GGMLType.BF16:
        return slab.view("<u2")
    if type_ is GGMLType.F32:
        return np.ascontiguousarray(slab, np.float32)
    if type_ is GGMLType.F16:
        return np.ascontiguousarray(slab, np.float16)
    return dequantize(slab, type_)


def _write(piece: Piece, raw: npt.NDArray[np.uint8]) -> None:
    source = piece.tensor.source
    piece.writer.write_part(piece.tensor.name, piece.first * (piece.tensor.n_bytes // len(piece.rows)), raw.data)
    source.source.release(source.offset + piece.first * (source.n_bytes // len(piece.rows)), piece.source_bytes)


def _has_values(type_: GGMLType) -> bool:
    """Whether the type is one of weights, whose values can be checked."""
    return type_.name in available()


def _is_sound(slab: Rows, type_: GGMLType) -> bool:
    return are_finite(as_floats(slab, type_)) if type_ in FLOATS else are_scales_finite(slab.view(np.uint8), type_)


def _wrong(piece: Piece, slab: Rows) -> GGUFError:
    source = piece.tensor.source
    where = "a block"
    if source.type in FLOATS:
        row, column = first_wrong(as_floats(slab, source.type))
        where = f"row {piece.first + row}, column {column}"
    message = f"tensor {source.name!r} holds NaN or infinity in {where}; convert the model anew"
    return GGUFError(source.source.path, source.offset, message)
