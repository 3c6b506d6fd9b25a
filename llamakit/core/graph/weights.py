"""A model's weights as kernels read them: tiles of 16 rows, packed once while the file streams by."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.tensor import Tensor
from llamakit.core.gguf.types import BLOCK_SIZES, GGMLType
from llamakit.core.graph.memory import aligned
from llamakit.core.graph.ops import Weight
from llamakit.core.kernels.float_gemv import GROUPS as FLOAT_SIDE
from llamakit.core.kernels.repack import Repack, RepackUnit
from llamakit.core.kernels.tile import ROWS, Tile, Unit
from llamakit.core.quants import dequantize
from llamakit.core.simd.records import Record
from llamakit.errors import ModelError

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
PAIRS = "pairs"  # bf16, two columns to a word: F16 and BF16 in rows of even length
FLOAT_TYPES = {GGMLType.F32: "f32", GGMLType.F16: "f16", GGMLType.BF16: "bf16"}
PANEL_GROUPS = 2  # kernels read groups in pairs: an odd last one has an empty neighbour
Key = tuple[str, int, tuple[int, ...]]  # Weight.key
RunKernel = Callable[[str, Record], None]


def padded(n: int, multiple: int = ROWS) -> int:
    """n rounded up to a whole number of vectors."""
    return -(-n // multiple) * multiple


@dataclass(frozen=True, eq=False)
class Packed:
    """Matrices of one type as tiles: [expert][group of 16 rows][block]."""

    type: GGMLType
    data: Bytes
    n_groups: int  # of an expert
    n_blocks: int  # of a row
    tile: Tile | None  # None: a float type
    has_pairs: bool = False

    @property
    def word(self) -> str:
        """The type as kernels name it: ":q4_k", "pairs", "f32"."""
        if self.has_pairs:
            return PAIRS
        return FLOAT_TYPES.get(self.type, f":{self.type.name.lower()}")

    @property
    def expert_bytes(self) -> int:
        return self.n_groups * self.n_blocks * BLOCK_SIZES[self.type].n_bytes * ROWS


@dataclass(frozen=True)
class Matrix:
    """What is packed together: the tensors, all their rows (of one expert), columns, and bytes (of one expert)."""

    names: tuple[str, ...]
    n_rows: int
    width: int
    n_bytes: int


@dataclass(frozen=True, eq=False)
class Place:
    """Where one tensor's matrices lie among packed ones."""

    n_expert: int
    n_groups: int  # of each expert, all parts together
    first_group: int
    fields: dict[str, Any]  # of `Repack`


@dataclass(frozen=True, eq=False)
class Added:
    """A float32 tensor that the model's file does not hold, rows first."""

    data: Floats
    type: GGMLType = GGMLType.F32


def mentions(key: Any, name: str) -> bool:
    """Whether the key of something made of weights, tuples in tuples, has a tensor's name in it."""
    return key == name or (isinstance(key, tuple) and any(mentions(part, name) for part in key))


def find_tile(type: GGMLType, name: str) -> Tile | None:
    """How a type is permuted; None for floats. ModelError for types that have no kernels."""
    if type in FLOAT_TYPES:
        return None
    try:
        tile: Tile = importlib.import_module(f"llamakit.core.quants.{type.name.lower()}").TILE
    except (ImportError, AttributeError):
        raise ModelError(
            f"{name} has type {type.name}, which has no kernels yet; quantize the model to another type"
        ) from None
    return tile


class Weights:
    """Packs what is asked for, and keeps it. `run` executes one kernel on all threads."""

    KERNELS = ("repack.repack",)

    def __init__(self, reader: GGUFReader, run: RunKernel) -> None:
        self.reader, self.run = reader, run
        self._packed: dict[tuple[Key, ...], Packed] = {}
        self._places: dict[str, list[tuple[Weight, Place]]] = {}
        self._vectors: dict[Any, Floats] = {}
        self._added: dict[str, Added] = {}
        self._users: dict[str, list[tuple[Floats, Callable[[], Floats]]]] = {}  # of added vectors

    def tensor(self, name: str) -> Tensor | Added:
        return self._added[name] if name in self._added else self.reader.tensor(name)

    def add(self, name: str, data: Floats) -> None:
        """A tensor that is not in the file; of the same name again, other numbers for a scale or a vector.

        Programs that are linked read new ones from their next run on.
        """
        self._added[name] = Added(data)
        for vector, compute in self._users.get(name, ()):
            vector[:] = compute()

    def matrices(self) -> dict[int, Matrix]:
        """Those that are packed, by address."""
        found = {}
        for key, packed in self._packed.items():
            n_expert = key[0][2][0] if len(key[0][2]) == 3 else 1
            found[int(packed.data.ctypes.data)] = Matrix(
                tuple(name for name, _, _ in key), sum(shape[-2] for _, _, shape in key), key[0][2][-1],
                packed.data.nbytes // n_expert,
            )  # fmt: skip
        return found

    def forget(self, name: str) -> None:
        """Drop an added tensor and what was made of it; programs that use it keep theirs."""
        self._added.pop(name, None)
        self._places.pop(name, None)
        self._users.pop(name, None)
        self._packed = {key: value for key, value in self._packed.items() if all(part[0] != name for part in key)}
        self._vectors = {key: value for key, value in self._vectors.items() if not mentions(key, name)}

    def floats(self, name: str) -> Floats:
        """A tensor in float32, rows first; for the reference and for vectors."""
        tensor = self.tensor(name)
        return np.ascontiguousarray(dequantize(tensor.data, tensor.type), np.float32)

    def vector(self, weight: Weight) -> Floats:
        """A vector, or a part of one, filled up with zeros to whole 16s."""
        if weight.key not in self._vectors:

            def compute() -> Floats:
                return fill_up(self.numbers_of(weight).reshape(-1))

            self._vectors[weight.key] = vector = compute()
            if weight.name in self._added:
                self._users.setdefault(weight.name, []).append((vector, compute))
        return self._vectors[weight.key]

    def rows(self, weight: Weight) -> Floats:
        """A small table, each row filled up with zeros to whole 16s.   -> (n_rows, pitch)"""
        key = ("rows", weight.key)
        if key not in self._vectors:
            table = self.numbers_of(weight).reshape(-1, weight.width)
            out = aligned(4 * len(table) * padded(weight.width)).view(np.float32).reshape(len(table), -1)
            out[:, : weight.width] = table
            self._vectors[key] = out
        return self._vectors[key]

    def numbers_of(self, weight: Weight) -> Floats:
        """Of a symbol, which may be a part of its tensor."""
        whole = self.floats(weight.name)
        if weight.is_part:
            if len(weight.shape) == 2:  # perhaps rows of the matrices of several heads
                whole = whole.reshape(-1, weight.width)
            last = weight.first + (weight.shape[-2] if len(weight.shape) > 1 else weight.shape[0])
            whole = whole[..., weight.first : last, :] if len(weight.shape) > 1 else whole[weight.first : last]
        return np.ascontiguousarray(whole)

    def per_row(
        self,
        parts: tuple[Weight, ...],
        values: tuple[Weight | None, ...],
        default: float,
        times: tuple[Weight | None, ...],
        is_interleaved: bool,
        n_groups: int,
    ) -> Floats | None:
        """One number for each weight row, in the order that `pack` gives the rows; None if no part has any.

        A value of one number stands for all rows of its part. `times` multiplies. An expert has n_groups groups of 16.
        """
        if all(v is None for v in values):
            return None
        key = tuple(tuple(each and each.key for each in every) for every in (parts, values, times))
        if key not in self._vectors:

            def compute() -> Floats:
                return self._per_row(parts, values, default, times, is_interleaved, n_groups)

            self._vectors[key] = vector = compute()
            for name in {value.name for value in values if value and value.name in self._added}:
                self._users.setdefault(name, []).append((vector, compute))
        return self._vectors[key]

    def _per_row(
        self,
        parts: tuple[Weight, ...],
        values: tuple[Weight | None, ...],
        default: float,
        times: tuple[Weight | None, ...],
        is_interleaved: bool,
        n_groups: int,
    ) -> Floats:
        columns = []
        for part, value, factor in zip(parts, values, times, strict=True):
            n_expert, n_rows = (part.shape[0] if len(part.shape) == 3 else 1), part.n_rows
            rows = np.zeros((n_expert, padded(n_rows)), np.float32)
            rows[:, :n_rows] = self.numbers(value, n_expert, default) * self.numbers(factor, n_expert, 1.0)
            columns.append(rows.reshape(n_expert, -1, ROWS))
        together = np.stack(columns, axis=2) if is_interleaved else np.concatenate(columns, axis=1)
        missing = n_groups - together.size // (ROWS * len(together))
        together = together.reshape(len(together), -1)
        return fill_up(np.pad(together, ((0, 0), (0, missing * ROWS))).reshape(-1))

    def numbers(self, weight: Weight | None, n_expert: int, default: float) -> Floats:
        """Some for each expert, or the default.   -> (n_expert, n or 1)"""
        if weight is None:
            return np.full((n_expert, 1), default, np.float32)
        return self.numbers_of(weight).reshape(n_expert, -1)

    def pack(self, parts: tuple[Weight, ...], is_interleaved: bool = False) -> Packed:
        """Matrices of one type and width on top of each other, or 16 rows of each in turn."""
        key = tuple(p.key for p in parts)
        if key not in self._packed:
            self._packed[key] = self._pack(parts, is_interleaved)
        return self._packed[key]

    def _pack(self, parts: tuple[Weight, ...], is_interleaved: bool) -> Packed:
        first = parts[0]
        tile = find_tile(first.type, first.name)
        n_columns = tile.n_columns if tile else float_columns(first.width)
        item_bytes = BLOCK_SIZES[first.type].n_bytes
        has_pairs = not tile and item_bytes == 2 and first.width % 2 == 0
        units = tile.units if tile else (Unit(0, n_columns * item_bytes, 4 if has_pairs else item_bytes),)
        block_bytes, n_blocks = sum(u.n_bytes for u in units), first.width // n_columns
        n_expert = first.shape[0] if len(first.shape) == 3 else 1
        part_groups = [padded(p.n_rows) // ROWS for p in parts]
        n_groups, group_bytes = sum(part_groups), n_blocks * block_bytes * ROWS
        if tile is None and n_expert > 1:
            n_groups = padded(n_groups, FLOAT_SIDE)  # an expert's matrix begins with a pair
        n_all = padded(n_expert * n_groups, PANEL_GROUPS)
        out = aligned(n_all * group_bytes, is_zeroed=n_all * ROWS > n_expert * sum(p.n_rows for p in parts))
        table = np.zeros(len(units), RepackUnit.dtype)
        for i, unit in enumerate(units):
            table[i] = tuple(unit)
        for k, part in enumerate(parts):
            tensor = self.tensor(part.name)
            start = k if is_interleaved else sum(part_groups[:k])
            place = Place(n_expert, n_groups, start, {
                "out": out, "n_rows": part.n_rows, "n_blocks": n_blocks, "block_bytes": block_bytes,
                "units": table.view(np.uint8), "n_units": len(units), "group_step": len(parts) if is_interleaved else 1,
                "n_side": 1 if tile else FLOAT_SIDE, "is_f16": int(has_pairs and part.type == GGMLType.F16),
            })  # fmt: skip
            self._places.setdefault(part.name, []).append((part, place))
            self._fill(part, place, little_endian(tensor.data, tensor.type))
            if part.name not in self._added:
                self.reader.release(self.reader.tensor(part.name))
        return Packed(first.type, out, n_groups, n_blocks if tile else first.width, tile, has_pairs)

    def _fill(self, part: Weight, place: Place, data: Bytes) -> None:
        """`data` are the bytes of the whole tensor."""
        rows = data.reshape(place.n_expert, -1)
        if part.is_part:
            block = BLOCK_SIZES[part.type]
            row_bytes = part.width // block.n_values * block.n_bytes
            rows = rows[:, part.first * row_bytes : (part.first + part.n_rows) * row_bytes]
        for expert in range(place.n_expert):
            first = expert * place.n_groups + place.first_group
            self.run("repack.repack", Repack(source=rows[expert], first_group=first, **place.fields))

    def replace(self, name: str, data: npt.NDArray[Any]) -> None:
        """Other numbers for a matrix that is packed already: `data` is of the shape and type of the file's tensor.

        Programs that are linked read them from their next run on. To restore the file's, give its own data.
        """
        for part, place in self._places[name]:
            self._fill(part, place, little_endian(data, self.reader.tensor(name).type))


def fill_up(vector: Floats) -> Floats:
    """A copy on a cache line, with zeros up to whole 16s."""
    out = aligned(4 * padded(vector.size)).view(np.float32)
    out[: vector.size] = vector
    return out


def float_columns(n: int) -> int:
    """Columns that are permuted together: tiles of floats are [column][16 rows], whatever the block."""
    return next(k for k in (64, 32, 16, 8, 4, 2, 1) if n % k == 0)


def little_endian(data: npt.NDArray[Any], type: GGMLType) -> Bytes:
    """A tensor's bytes as kernels want them; copied only where the file's order is another."""
    if data.dtype != np.uint8:
        data = np.asarray(data, data.dtype.newbyteorder("<"))
    return np.ascontiguousarray(data).view(np.uint8).reshape(-1)
