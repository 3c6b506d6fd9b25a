"""Where the tensors of a file lie: sizes from shapes and types, and the checks that they lie apart, inside the file.

Source of the layout: the GGUF specification. Tensor data begins at the first multiple of `general.alignment` behind
the header, each tensor at another multiple of it, and the bytes between are padding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from llamakit.core.gguf.header import Header, TensorInfo
from llamakit.core.gguf.types import (
    ALIGNMENT_KEY,
    BLOCK_SIZES,
    DEFAULT_ALIGNMENT,
    MAX_ALIGNMENT,
    MIN_ALIGNMENT,
    PLAIN_DTYPES,
    GGMLType,
    ValueType,
)
from llamakit.core.gguf.values import decode
from llamakit.errors import GGUFError

_MAX_VALUES = (1 << 63) - 1  # ggml counts values and bytes in an int64


@dataclass(frozen=True, slots=True)
class Layout:
    alignment: int
    data_offset: int  # of the tensor data in the file
    extents: list[tuple[int, int]]  # offset in the file and bytes of each tensor, in the header's order
    data_end: int  # behind the last tensor; what follows is not data
    warnings: list[str]  # what a careful writer would not have done, yet does no harm


def pad(offset: int, alignment: int) -> int:
    """The first multiple of `alignment` at or behind `offset`."""
    return offset + -offset % alignment


def is_alignment(value: int) -> bool:
    return MIN_ALIGNMENT <= value <= MAX_ALIGNMENT and value & (value - 1) == 0


def row_bytes(n_values: int, type_: GGMLType) -> int:
    """Bytes of one row; raises ValueError when the row is not a whole number of blocks."""
    block = BLOCK_SIZES[type_]
    if n_values % block.n_values:
        raise ValueError(f"a row of {n_values} values is not a whole number of {type_.name} blocks of {block.n_values}")
    return n_values // block.n_values * block.n_bytes


def tensor_bytes(shape: tuple[int, ...], type_: GGMLType) -> int:
    """Bytes of a tensor; `shape` is in GGUF order. Raises ValueError for a shape that cannot be."""
    if not all(0 < dim <= _MAX_VALUES for dim in shape):
        raise ValueError(f"shape {list(shape)} has a dimension that is zero or negative")
    n_bytes = row_bytes(shape[0], type_) * math.prod(shape[1:])
    if math.prod(shape) > _MAX_VALUES or n_bytes > _MAX_VALUES:
        raise ValueError(f"shape {list(shape)} has more values than 64 bits can count")
    return n_bytes


def array_form(shape: tuple[int, ...], type_: GGMLType) -> tuple[str, tuple[int, ...]]:
    """The dtype code (without byte order) and the shape, slowest dimension first, of a tensor's array.

    Types numpy knows hold values; all others, BF16 among them, are rows of bytes.
    """
    if type_ in PLAIN_DTYPES:
        return PLAIN_DTYPES[type_], shape[::-1]
    return "u1", (*shape[:0:-1], row_bytes(shape[0], type_))


def place_tensors(path: Path, size: int, header: Header) -> Layout:
    """Check every tensor of a file of `size` bytes; raises GGUFError for the first that cannot be as declared."""
    alignment = _alignment(path, header)
    data_offset = pad(header.n_bytes, alignment)
    extents = [_extent(path, size, info, data_offset, alignment) for info in header.tensors]
    warnings: list[str] = []

    # In the order of their data, each tensor begins where the padding of the one before ends.
    expected, data_end, before = data_offset, header.n_bytes, "the header"
    for i in sorted(range(len(extents)), key=extents.__getitem__):
        (start, n_bytes), info = extents[i], header.tensors[i]
        if start < data_end:
            raise GGUFError(path, info.offset, f"the data of tensor {info.name!r} overlaps that of {before}")
        if start > expected:
            warnings.append(f"{start - expected} unused bytes lie before tensor {info.name!r}")
        data_end, before = start + n_bytes, repr(info.name)
        expected = pad(data_end, alignment)

    # Some writers leave out the last padding. Half a padding, though, is a file cut short.
    if data_end < size < expected:
        raise GGUFError(path, size, f"the file ends inside the padding behind {before}; is it cut short?")
    if size == data_end < expected and header.tensors:
        warnings.append("the padding behind the last tensor is missing")
    if size > expected:
        warnings.append(f"{size - expected} bytes follow the last tensor, at byte {expected}; they are not read")
    return Layout(alignment, data_offset, extents, data_end, warnings)


def _alignment(path: Path, header: Header) -> int:
    field = header.fields.get(ALIGNMENT_KEY)
    if field is None:
        return DEFAULT_ALIGNMENT
    if field.types != (ValueType.UINT32,):
        message = f"{ALIGNMENT_KEY} has type {field.types[0].name}; it must be UINT32"
        raise GGUFError(path, field.value_offset, message)
    value = decode(header.raw, field.value_offset, ValueType.UINT32, header.encoding)
    if not isinstance(value, int) or not is_alignment(value):
        message = f"{ALIGNMENT_KEY} is {value}; it must be a power of two from {MIN_ALIGNMENT} to {MAX_ALIGNMENT}"
        raise GGUFError(path, field.value_offset, message)
    return value


def _extent(path: Path, size: int, info: TensorInfo, data_offset: int, alignment: int) -> tuple[int, int]:
    try:
        n_bytes = tensor_bytes(info.shape, info.type)
    except ValueError as error:
        raise GGUFError(path, info.offset, f"tensor {info.name!r}: {error}") from None
    if info.data_offset % alignment:
        message = f"tensor {info.name!r} has data at {info.data_offset}, which is no multiple of {alignment}"
        raise GGUFError(path, info.offset, message)
    start = data_offset + info.data_offset
    if start + n_bytes > size:
        message = f"the data of tensor {info.name!r} ends at byte {start + n_bytes}, the file at {size}"
        raise GGUFError(path, info.offset, f"{message}; is it cut short?")
    return start, n_bytes
