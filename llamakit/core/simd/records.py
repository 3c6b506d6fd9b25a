"""Binary records that Python fills and kernels read: each described once, here, without Numba.

    class RmsNorm(Record):
        x: Ptr[f32]
        n_embd: i64

`RmsNorm(x=array, n_embd=576)` checks and keeps its fields; a kernel reads `op.x`, `op.n_embd`.
The same words describe weight tiles and register tiles, so `tile.d` in a kernel is a vector load.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np


@dataclass(frozen=True)
class Scalar:
    """A machine number. f16 and bf16 are storage types: a kernel sees them as f32."""

    name: str
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        return self.dtype.itemsize

    @property
    def align(self) -> int:
        return self.dtype.itemsize

    @property
    def is_float(self) -> bool:
        return self.dtype.kind == "f" or self.name == "bf16"

    def encode(self, value: Any) -> int | float:
        """The value as this type; refuses what does not fit exactly (floats may round)."""
        if isinstance(value, (bool, str)) or not np.isscalar(value):
            raise TypeError(f"needs a number, got {value!r}")
        if self.dtype.kind in "iu":
            number, n_values = int(value), 1 << 8 * self.size  # type: ignore[arg-type]
            low = -n_values // 2 if self.dtype.kind == "i" else 0
            if number != value or not low <= number < low + n_values:
                raise ValueError(f"{value!r} is no {self.name}")
            return number
        return float(value)  # type: ignore[arg-type]

    def __call__(self, value: Any) -> Any:
        """In a kernel: the number as this type."""
        raise TypeError(f"{self.name}(...) converts in kernels only")


i8, u8, i16, i32, i64, f16, bf16, f32 = (
    Scalar(name, np.dtype(code))
    for name, code in (
        ("i8", "i1"), ("u8", "u1"), ("i16", "<i2"), ("i32", "<i4"), ("i64", "<i8"), ("f16", "<f2"), ("bf16", "<u2"),
        ("f32", "<f4"),
    )
)  # fmt: skip


@dataclass(frozen=True)
class Vector:
    """Lanes in one register."""

    element: Scalar
    lanes: int
    align: ClassVar[int] = 1  # every vector access may be unaligned

    @property
    def name(self) -> str:
        return f"{self.element.name}x{self.lanes}"

    @property
    def size(self) -> int:
        return self.element.size * self.lanes

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype((self.element.dtype, self.lanes))

    def __call__(self, value: Any) -> Any:
        """In a kernel: the number in every lane."""
        raise TypeError(f"{self.name}(...) fills lanes in kernels only")


f32x16, i32x16, i8x16, u8x16, i8x64, f16x16, bf16x16 = (
    Vector(element, lanes)
    for element, lanes in ((f32, 16), (i32, 16), (i8, 16), (u8, 16), (i8, 64), (f16, 16), (bf16, 16))
)


@dataclass(frozen=True)
class Array:
    """A fixed number of elements inside a record; a kernel indexes it."""

    element: Any
    count: int

    @property
    def name(self) -> str:
        return f"{self.element.name}[{self.count}]"

    @property
    def align(self) -> int:
        return int(self.element.align)

    @property
    def size(self) -> int:
        return int(self.element.size) * self.count

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype((self.element.dtype, self.count))

    def __class_getitem__(cls, item: tuple[Any, int]) -> Array:
        return cls(*item)


@dataclass(frozen=True)
class Ptr:
    """The address of elements. Python may give an ndarray, a record, an address (int) or None."""

    element: Any
    size: ClassVar[int] = 8
    align: ClassVar[int] = 8
    dtype: ClassVar[np.dtype[Any]] = np.dtype("<u8")

    @property
    def name(self) -> str:
        return f"ptr<{self.element.name}>"

    def __class_getitem__(cls, element: Any) -> Ptr:
        return cls(element)

    def encode(self, value: Any) -> int:
        if value is None:
            return 0
        if isinstance(value, Record):
            value = value.data
        if isinstance(value, np.ndarray):
            if not value.flags.c_contiguous:
                raise ValueError("needs a contiguous array")
            scalar = getattr(self.element, "element", self.element)
            if isinstance(scalar, Scalar) and value.dtype not in (scalar.dtype, np.dtype(np.uint8)):
                raise TypeError(f"needs {scalar.name} elements, got {value.dtype}")
            return int(value.ctypes.data)
        if isinstance(value, (int, np.integer)) and value > 0:
            return int(value)
        raise TypeError(f"needs an array or an address, got {value!r}")


@dataclass(frozen=True)
class Field:
    """One field of a record: its kind and its byte offset."""

    kind: Any
    offset: int


class RecordType(type):
    """The class of record classes: by it a compiler process knows them as kinds."""


class Record(metaclass=RecordType):
    """Base of all records: the annotations of a subclass are its fields, laid out as C would."""

    FIELDS: ClassVar[Mapping[str, Field]] = {}
    align: ClassVar[int] = 8
    size: ClassVar[int] = 0
    name: ClassVar[str] = "record"
    dtype: ClassVar[np.dtype[Any]]
    constant: ClassVar[bool] = True  # no kernel writes it: field loads may leave loops

    def __init_subclass__(cls) -> None:
        kinds = {name: field.kind for name, field in cls.FIELDS.items()}  # inherited; may be narrowed
        offset, fields = 0, {}
        own = {k: v for k, v in inspect.get_annotations(cls, eval_str=True).items() if k != "constant"}
        for name, kind in (kinds | own).items():
            offset = -(-offset // kind.align) * kind.align
            fields[name] = Field(kind, offset)
            offset += kind.size
        cls.FIELDS, cls.name, cls.size = fields, cls.__name__, offset
        cls.dtype = np.dtype(
            {
                "names": list(fields),
                "formats": [f.kind.dtype for f in fields.values()],
                "offsets": [f.offset for f in fields.values()],
                "itemsize": offset,
            }
        )

    def __init__(self, **values: Any) -> None:
        if wrong := values.keys() ^ self.FIELDS.keys():
            problems = (f"{'unknown' if w in values else 'missing'} field {w!r}" for w in sorted(wrong))
            raise TypeError(f"{self.name}: " + ", ".join(problems))
        self.values = values  # keeps the arrays alive
        self.data = np.zeros((), self.dtype)
        for name, value in values.items():
            try:
                self.data[name] = self.FIELDS[name].kind.encode(value)
            except (TypeError, ValueError) as error:
                raise type(error)(f"{self.name}.{name}: {error}") from None

    def __bytes__(self) -> bytes:
        return self.data.tobytes()
