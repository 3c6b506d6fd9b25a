"""Metadata values: bytes of a file <-> int, float, bool, str and lists of them.

Strings are UTF-8 by the specification, but token texts need not be: bytes that are not UTF-8 become lone surrogates
(`surrogateescape`) and turn back into the same bytes when written.

Source of the layout: the GGUF specification. A string is a length and its bytes, an array is a u32 element type, a
length and the elements; lengths are u64, in version 1 u32.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

from llamakit.core.gguf.types import MAX_ARRAY_DEPTH, SCALAR_CODES, ValueType

ByteOrder: TypeAlias = Literal["little", "big"]
Value: TypeAlias = Union[int, float, bool, str, "list[Value]"]
Values: TypeAlias = "Value | Sequence[Value] | NDArray[np.generic]"

_RANGES: dict[ValueType, tuple[int, int]] = {
    type_: (int(np.iinfo(code).min), int(np.iinfo(code).max))
    for type_, code in SCALAR_CODES.items()
    if code not in "fd?"
}
_NUMPY_TYPES: dict[str, ValueType] = {np.dtype(code).str[1:]: type_ for type_, code in SCALAR_CODES.items()}
_FLOATS = (ValueType.FLOAT32, ValueType.FLOAT64)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How one file writes numbers: its byte order, and the width of its lengths."""

    byte_order: ByteOrder = "little"
    version: int = 3
    mark: str = field(init=False, repr=False, compare=False)
    u32: struct.Struct = field(init=False, repr=False, compare=False)
    u64: struct.Struct = field(init=False, repr=False, compare=False)
    length: struct.Struct = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        mark = "<" if self.byte_order == "little" else ">"
        object.__setattr__(self, "mark", mark)
        object.__setattr__(self, "u32", struct.Struct(mark + "I"))
        object.__setattr__(self, "u64", struct.Struct(mark + "Q"))
        object.__setattr__(self, "length", struct.Struct(mark + ("I" if self.version == 1 else "Q")))

    def dtype(self, type_: ValueType) -> np.dtype[np.generic]:
        return np.dtype(self.mark + SCALAR_CODES[type_])


def decode(buffer: bytes, offset: int, type_: ValueType, encoding: Encoding) -> Value:
    """The value at `offset` of a header that has been scanned; trusts every length in it."""
    if type_ is ValueType.ARRAY:
        return _decode_array(buffer, offset, encoding)
    return _decode_items(buffer, offset, type_, 1, encoding)[0][0]


def _decode_array(buffer: bytes, offset: int, encoding: Encoding) -> list[Value]:
    open_lists: list[tuple[list[Value], int]] = []  # arrays of arrays not yet full, with their lengths
    while True:
        element_type = ValueType(encoding.u32.unpack_from(buffer, offset)[0])
        (n,) = encoding.length.unpack_from(buffer, offset + 4)
        offset += 4 + encoding.length.size
        items: list[Value] = []
        if element_type is not ValueType.ARRAY:
            items, offset = _decode_items(buffer, offset, element_type, n, encoding)
        if open_lists:
            open_lists[-1][0].append(items)
        if element_type is ValueType.ARRAY:
            open_lists.append((items, n))
        while open_lists and len(open_lists[-1][0]) == open_lists[-1][1]:
            items, _ = open_lists.pop()
        if not open_lists:
            return items


def _decode_items(buffer: bytes, offset: int, type_: ValueType, n: int, encoding: Encoding) -> tuple[list[Value], int]:
    """`n` scalars or strings, and the offset behind them."""
    if type_ is not ValueType.STRING:
        array = np.frombuffer(buffer, encoding.dtype(type_), n, offset)
        return array.tolist(), offset + array.nbytes
    unpack, width = encoding.length.unpack_from, encoding.length.size
    texts: list[Value] = []
    for _ in range(n):
        start = offset + width
        offset = start + unpack(buffer, offset)[0]
        texts.append(buffer[start:offset].decode("utf-8", "surrogateescape"))
    return texts, offset


def infer_types(value: Values, element_type: ValueType | None = None) -> tuple[ValueType, ...]:
    """Types of a value, from the outside in: (STRING,), (ARRAY, INT32), (ARRAY, ARRAY, FLOAT32).

    A lone int becomes UINT32 where it fits, as hyper-parameters are written; integers in a list become INT32 where
    all fit, as token types are; wider ones INT64 or UINT64. Floats become FLOAT32. A numpy array keeps its type.
    Raises ValueError for anything else, and for a list whose elements differ in kind.
    """
    if isinstance(value, np.ndarray):
        if value.ndim == 0 or value.dtype.str[1:] not in _NUMPY_TYPES:
            raise ValueError(f"an array of {value.dtype} with {value.ndim} dimensions has no GGUF type")
        return (ValueType.ARRAY,) * value.ndim + (element_type or _NUMPY_TYPES[value.dtype.str[1:]],)
    if isinstance(value, (list, tuple)):
        return _infer_sequence(value, element_type, depth=1)
    return (_infer_scalar(value, (ValueType.UINT32, ValueType.INT32)),)


def _infer_sequence(items: Sequence[Value], element_type: ValueType | None, depth: int) -> tuple[ValueType, ...]:
    if depth > MAX_ARRAY_DEPTH:
        raise ValueError(f"arrays nested deeper than {MAX_ARRAY_DEPTH}")
    if any(isinstance(item, (list, tuple)) for item in items):
        if not all(isinstance(item, (list, tuple)) for item in items):
            raise ValueError("an array mixes lists with other values")
        # A type wide enough for every inner list: infer it from all of them laid end to end.
        flat = [inner for item in items if isinstance(item, (list, tuple)) for inner in item]
        return (ValueType.ARRAY, *_infer_sequence(flat, element_type, depth + 1))
    if element_type is not None:
        return (ValueType.ARRAY, element_type)
    if not items:
        raise ValueError("an empty list needs an element_type")
    kinds = {type(item) for item in items}
    if kinds == {int, float}:
        kinds = {float}
    if len(kinds) > 1:
        raise ValueError(f"an array mixes {' and '.join(sorted(kind.__name__ for kind in kinds))}")
    if kinds == {int}:
        numbers = [item for item in items if isinstance(item, int)]
        types = {_infer_scalar(number, (ValueType.INT32, ValueType.UINT32)) for number in (min(numbers), max(numbers))}
        return (ValueType.ARRAY, types.pop() if len(types) == 1 else ValueType.INT64)
    return (ValueType.ARRAY, ValueType.FLOAT32 if kinds == {float} else _infer_scalar(items[0], ()))


def _infer_scalar(value: object, int_types: tuple[ValueType, ...]) -> ValueType:
    if isinstance(value, (bool, np.bool_)):
        return ValueType.BOOL
    if isinstance(value, str):
        return ValueType.STRING
    if isinstance(value, np.generic) and value.dtype.str[1:] in _NUMPY_TYPES:
        return _NUMPY_TYPES[value.dtype.str[1:]]
    if isinstance(value, float):
        return ValueType.FLOAT32
    if isinstance(value, int):
        for type_ in (*int_types, ValueType.INT64, ValueType.UINT64):
            if _RANGES[type_][0] <= value <= _RANGES[type_][1]:
                return type_
        raise ValueError(f"{value} does not fit in 64 bits")
    raise ValueError(f"a {type(value).__name__} has no GGUF type")


def encode(value: Values, types: tuple[ValueType, ...], encoding: Encoding) -> bytes:
    """Bytes of a value without its leading type; raises ValueError where it does not fit `types`."""
    if types[0] is not ValueType.ARRAY:
        return _encode_items([value], types[0], encoding)
    if len(types) > MAX_ARRAY_DEPTH + 1:
        raise ValueError(f"arrays nested deeper than {MAX_ARRAY_DEPTH}")
    if len(types) < 2 or not isinstance(value, (list, tuple, np.ndarray)):
        raise ValueError(f"{value!r:.60} is not an array")
    head = encoding.u32.pack(types[1]) + encoding.length.pack(len(value))
    if types[1] is ValueType.ARRAY:
        return head + b"".join(encode(inner, types[1:], encoding) for inner in value)
    return head + _encode_items(value, types[1], encoding)


def _encode_items(items: Sequence[Values] | NDArray[np.generic], type_: ValueType, encoding: Encoding) -> bytes:
    if type_ is ValueType.STRING:
        out, pack = bytearray(), encoding.length.pack
        for item in items:
            if not isinstance(item, str):
                raise ValueError(f"{item!r:.60} is not a string")
            raw = item.encode("utf-8", "surrogateescape")
            out += pack(len(raw)) + raw
        return bytes(out)
    if len(items) == 0:
        return b""
    array = np.asarray(items)
    if array.ndim != 1 or not _fits(array, type_):
        raise ValueError(f"{items!r:.60} does not fit {type_.name}")
    return array.astype(encoding.dtype(type_)).tobytes()


def _fits(array: NDArray[np.generic], type_: ValueType) -> bool:
    if type_ is ValueType.BOOL:
        return array.dtype.kind == "b"
    if type_ in _FLOATS:
        limit = float(np.finfo(SCALAR_CODES[type_]).max)
        return array.dtype.kind in "fiu" and not bool(np.any(np.isfinite(array) & (np.abs(array) > limit)))
    low, high = _RANGES[type_]
    return array.dtype.kind in "iu" and low <= int(array.min()) and int(array.max()) <= high
