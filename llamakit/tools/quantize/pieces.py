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
from llamakit.core.quants import dequantize
from llamakit.core.quants.packing import Rows, is_finite, pack
from llamakit.errors import GGUFError
from llamakit.tools.quantize.finite import DTYPES, first_unsound, is_sound
from llamakit.tools.quantize.importance import n_matrices
from llamakit.tools.quantize.plan import PlannedTensor

Slab = npt.NDArray[np.generic]
Buffers = SimpleQueue[npt.NDArray[np.uint8]]  # memory that is free for packed rows

PIECE = 1 << 19  # values in a piece, or a row if that has more


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows `first` to `last` (not included) of a tensor, all of the same matrix."""

    tensor: PlannedTensor
    writer: GGUFWriter
    rows: Slab  # (n_rows, ...) of the whole tensor as the file has them
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
    n, data = tensor.source.shape[0], tensor.source.data
    rows = data.reshape(-1, data.shape[-1])
    matrices = n_matrices(tensor.source)
    importance = None
    if tensor.importance is not None:
        importance = np.ascontiguousarray(tensor.importance.importance.reshape(matrices, n))
    step, per_matrix = max(1, PIECE // n), len(rows) // matrices
    for matrix in range(matrices):
        of_matrix, end = None if importance is None else importance[matrix], (matrix + 1) * per_matrix
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
        raw = np.ascontiguousarray(slab, slab.dtype.newbyteorder("<")).reshape(-1).view(np.uint8)
        if not is_sound(raw, source.type):
            raise unsound(piece, slab)
        write(piece, raw)
        return
    weights = as_weights(slab, source.type)
    if not is_finite(weights, n_threads=1):
        raise unsound(piece, slab)
    buffer = buffers.get()
    try:
        n_bytes = row_bytes(source.shape[0], tensor.type)
        packed = buffer[: n_bytes * len(weights)].reshape(-1, n_bytes)
        pack(weights, tensor.type, piece.importance, packed, n_threads=1)
        if not is_sound(packed, tensor.type):
            message = f"tensor {source.name!r} has weights too large for {tensor.type.name}; keep it with --tensor-type"
            raise GGUFError(source.source.path, source.offset, message)
        write(piece, packed.reshape(-1))
    finally:
        buffers.put(buffer)


def as_weights(slab: Slab, type_: GGMLType) -> Rows:
    """Rows of a file as the quantizers take them: float32, float16, or bfloat16 in a uint16; copied only if need be."""
    if type_ is GGMLType.BF16:
        return slab.view(np.uint16)
    if type_ is GGMLType.F32:
        return np.ascontiguousarray(slab, np.float32)
    if type_ is GGMLType.F16:
        return np.ascontiguousarray(slab, np.float16)
    return dequantize(slab, type_)


def write(piece: Piece, raw: npt.NDArray[np.uint8]) -> None:
    """Put a piece where it belongs, and its source out of memory."""
    tensor, source, n_rows = piece.tensor, piece.tensor.source, len(piece.rows)
    piece.writer.write_part(tensor.name, piece.first * (tensor.n_bytes // n_rows), raw.data)
    source.source.release(source.offset + piece.first * (source.n_bytes // n_rows), piece.source_bytes)


def unsound(piece: Piece, slab: Slab) -> GGUFError:
    source = piece.tensor.source
    where = "a block"
    if source.type in DTYPES:
        row, column = first_unsound(as_weights(slab, source.type))
        where = f"row {piece.first + row}, column {column}"
    message = f"tensor {source.name!r} holds NaN or infinity in {where}; convert the model anew"
    return GGUFError(source.source.path, source.offset, message)
