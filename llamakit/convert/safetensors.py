"""A safetensors file: its header read with every bound checked, its tensors looked at only when asked for.

Source of the layout: the safetensors specification. A u64 (little-endian) says how long the header is, a JSON object of
name -> {dtype, shape, data_offsets}; the data of all tensors follows without gaps.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from llamakit.core.gguf.source import Source
from llamakit.errors import ModelError, printable

MAX_HEADER = 100_000_000  # bytes; the limit of the reference implementation
_MAX_VALUES = (1 << 63) - 1
_MAX_DIMS = 16

# Bytes of a value of each dtype that is known, and the numpy code of those that numpy can hold.
DTYPES: dict[str, tuple[int, str | None]] = {
    "F64": (8, "<f8"),
    "F32": (4, "<f4"),
    "F16": (2, "<f2"),
    "BF16": (2, None),
    "F8_E4M3": (1, None),
    "F8_E5M2": (1, None),
    "F8_E8M0": (1, None),
    "I64": (8, "<i8"),
    "I32": (4, "<i4"),
    "I16": (2, "<i2"),
    "I8": (1, "<i1"),
    "U64": (8, "<u8"),
    "U32": (4, "<u4"),
    "U16": (2, "<u2"),
    "U8": (1, "<u1"),
    "BOOL": (1, "|b1"),
}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor as it lies in a file: `shape` slowest dimension first, the dtype by its safetensors name."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int  # in the file
    n_bytes: int
    source: Source = field(repr=False, compare=False)
    strides: tuple[int, ...] | None = None  # in values, of a tensor that does not lie row by row

    @property
    def raw(self) -> NDArray[np.uint8]:
        """The bytes row by row, uint8, read-only; a window of the mapped file unless there are `strides`."""
        window = self.source.view(self.offset, self.n_bytes)
        if self.strides is None:
            return window
        values = window.view(f"V{DTYPES[self.dtype][0]}")
        steps = [step * values.itemsize for step in self.strides]
        return np.ascontiguousarray(as_strided(values, self.shape, steps, writeable=False)).view(np.uint8).reshape(-1)

    def release(self) -> None:
        """Give the tensor's pages back to the system."""
        self.source.release(self.offset, self.n_bytes)


def read_safetensors(path: str | os.PathLike[str]) -> dict[str, StoredTensor]:
    """The tensors of a file by name, in the order of its header.

    Raises ModelError, naming the file and the tensor, for anything that is not as the specification wants it; GGUFError
    where it cannot be opened.
    """
    source = Source(path)
    if source.size < 8:
        raise _error(path, f"it has {source.size} bytes, too few for a safetensors file")
    first = source.read(0, 8)
    if first == b"version ":
        raise _error(path, "it is a pointer of Git LFS, not the tensors; fetch them with `git lfs pull`")
    n_header = int.from_bytes(first, "little")
    if not 2 <= n_header <= min(MAX_HEADER, source.size - 8):
        raise _error(path, f"its header would have {n_header} bytes, the file has {source.size}; is it cut short?")
    entries = _parse_header(path, source.read(8, n_header))
    start, n_data = 8 + n_header, source.size - 8 - n_header
    tensors = {
        name: _tensor(path, name, entry, start, n_data, source)
        for name, entry in entries.items()
        if name != "__metadata__"
    }
    _check_gapless(path, list(tensors.values()), start, n_data)
    source.map(source.size)
    return tensors


def _parse_header(path: str | os.PathLike[str], raw: bytes) -> dict[str, Any]:
    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, a name twice, a number of thousands of digits
        raise _error(path, f"its header is no JSON object: {type(error).__name__}: {str(error)[:120]}") from None
    if not isinstance(header, dict):
        raise _error(path, f"its header is a JSON {type(header).__name__}, not an object")
    return header


class _Duplicate(ValueError):
    pass


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Duplicate(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return found


def _tensor(
    path: str | os.PathLike[str], name: str, entry: Any, start: int, n_data: int, source: Source
) -> StoredTensor:
    if not isinstance(entry, dict):
        raise _error(path, f"tensor {name!r} is described by a JSON {type(entry).__name__}")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if dtype not in DTYPES:
        raise _error(path, f"tensor {name!r} has the unknown dtype {dtype!r:.40}; known are {', '.join(DTYPES)}")
    if not _is_sizes(shape) or len(shape) > _MAX_DIMS:
        raise _error(path, f"tensor {name!r} has the shape {shape!r:.60}")
    if not _is_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _error(path, f"tensor {name!r} has the data offsets {offsets!r:.60}")
    first, last = offsets
    n_values = math.prod(shape)
    if n_values > _MAX_VALUES or n_values * DTYPES[dtype][0] != last - first:
        raise _error(path, f"tensor {name!r} of {dtype} {shape} has {last - first} bytes, which do not fit its shape")
    if last > n_data:
        raise _error(path, f"tensor {name!r} ends at byte {last} of {n_data} bytes of data; is the file cut short?")
    return StoredTensor(name, dtype, tuple(shape), start + first, last - first, source)


def _is_sizes(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(item) is int and 0 <= item <= _MAX_VALUES for item in value)


def _check_gapless(path: str | os.PathLike[str], tensors: list[StoredTensor], start: int, n_data: int) -> None:
    """Refuse tensors that overlap or leave bytes unused."""
    end, before = start, "the header"
    for tensor in sorted(tensors, key=lambda tensor: (tensor.offset, tensor.n_bytes)):
        if tensor.offset != end:
            what = "overlaps" if tensor.offset < end else f"leaves {tensor.offset - end} unused bytes behind"
            raise _error(path, f"tensor {tensor.name!r} {what} {before}")
        end, before = tensor.offset + tensor.n_bytes, repr(tensor.name)
    if end != start + n_data:
        raise _error(path, f"{start + n_data - end} bytes follow the last tensor")


def _error(path: str | os.PathLike[str], message: str) -> ModelError:
    return ModelError(printable(f"{Path(path)}: {message}"))
