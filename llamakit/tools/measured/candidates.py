"""What each tensor may become: types, their bytes, and how far the weights move."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from llamakit.core.gguf.layout import tensor_bytes
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.tensor import Tensor
from llamakit.core.gguf.types import BLOCK_SIZES, GGMLType
from llamakit.core.quants import dequantize
from llamakit.core.quants.base import find_type
from llamakit.core.quants.packing import Rows, pack
from llamakit.tools.imatrix_file import ImatrixEntry
from llamakit.tools.quantize.file_types import parse_file_type
from llamakit.tools.quantize.importance import n_matrices
from llamakit.tools.quantize.pieces import as_weights
from llamakit.tools.quantize.plan import Options, PlannedTensor, make_plan

Floats = npt.NDArray[np.float32]
Errors = Mapping[GGMLType, float]  # of one tensor, by type

TYPES = tuple(
    GGMLType[name]
    for name in (
        "Q8_0", "Q6_K", "Q5_1", "Q5_K", "Q5_0", "Q4_1", "Q4_K", "Q4_0", "IQ4_NL", "IQ4_XS", "Q3_K", "IQ3_S", "IQ3_XXS",
        "Q2_K", "IQ2_S", "IQ2_XS", "IQ2_XXS",
    )
)  # fmt: skip
N_SAMPLED = 1 << 17  # weights of a tensor that its errors are reckoned from


@dataclass(frozen=True, slots=True)
class Candidate:
    """One type for one tensor.

    `error` is the share of the outputs' energy that the rounding of weights takes: sum of m (w - w')^2 over that of
    m w^2, with m the mean square of the column's inputs.
    """

    type: GGMLType
    n_bytes: int  # in the file, with padding
    error: float


@dataclass(frozen=True, slots=True)
class Choices:
    """A tensor and its candidates, at least one; a single one means that there is nothing to choose."""

    tensor: Tensor
    importance: ImatrixEntry | None
    candidates: tuple[Candidate, ...]

    @property
    def name(self) -> str:
        return self.tensor.name

    def find(self, type: GGMLType) -> Candidate | None:
        return next((c for c in self.candidates if c.type is type), None)


def find_choices(
    reader: GGUFReader, options: Options, known: Mapping[str, Errors], types: Sequence[GGMLType] = TYPES
) -> Iterator[Choices]:
    """Tensor by tensor, in the order of the file to be. What `options` fixes, or what cannot change, has one candidate.

    `known` has errors that were reckoned before, by tensor. Raises UsageError as `make_plan`.
    """
    options = replace(options, is_pure=True)
    one, other = (make_plan(reader, parse_file_type(name), options).tensors for name in ("Q8_0", "Q4_0"))
    for a, b in zip(one, other, strict=True):
        if a.type is b.type:
            yield Choices(a.source, a.importance, (fixed(a, reader.alignment),))
        else:
            yield Choices(
                a.source, a.importance, tuple(candidates_of(a, reader.alignment, known.get(a.name, {}), types))
            )


def fixed(tensor: PlannedTensor, alignment: int) -> Candidate:
    return Candidate(tensor.type, padded_bytes(tensor.source, tensor.type, alignment), 0.0)


def candidates_of(
    tensor: PlannedTensor, alignment: int, known: Errors, types: Sequence[GGMLType]
) -> Iterator[Candidate]:
    """The source's own type, which costs nothing but bytes, and those whose blocks divide its rows."""
    source, importance = tensor.source, tensor.importance
    yield Candidate(source.type, padded_bytes(source, source.type, alignment), 0.0)
    sample: Sample | None = None
    for type_ in types:
        is_possible = source.shape[0] % BLOCK_SIZES[type_].n_values == 0
        if is_possible and type_ is not source.type and (importance is not None or not find_type(type_).needs_imatrix):
            error = known.get(type_)
            if error is None:
                sample = sample or Sample.of(source, importance)
                error = sample.error(type_)
            yield Candidate(type_, padded_bytes(source, type_, alignment), error)


def padded_bytes(tensor: Tensor, type_: GGMLType, alignment: int) -> int:
    return -(-tensor_bytes(tensor.shape, type_) // alignment) * alignment


@dataclass(frozen=True)
class Sample:
    """Some rows of each of a tensor's matrices (some of the experts'), with the importance of their columns."""

    rows: tuple[Rows, ...]
    importance: tuple[Floats | None, ...]

    @classmethod
    def of(cls, tensor: Tensor, importance: ImatrixEntry | None) -> Sample:
        n, n_all = tensor.shape[0], n_matrices(tensor)
        data = tensor.data.reshape(n_all, -1, tensor.data.shape[-1])
        n_rows = max(1, N_SAMPLED // n)
        picked = spread(n_all, max(1, n_rows // 8))
        rows = spread(data.shape[1], max(1, n_rows // len(picked)))
        weights = tuple(as_weights(np.ascontiguousarray(data[m][rows]), tensor.type) for m in picked)
        return cls(weights, tuple(columns_of(importance, m, n) for m in picked))

    def error(self, type_: GGMLType) -> float:
        """The share of energy lost; see `Candidate`."""
        lost, whole = 0.0, 0.0
        for rows, importance in zip(self.rows, self.importance, strict=True):
            weight = 1.0 if importance is None else importance
            exact = as_floats(rows)
            lost += float(((round_trip(rows, type_, importance) - exact) ** 2 * weight).sum(dtype=np.float64))
            whole += float((exact**2 * weight).sum(dtype=np.float64))
        return lost / whole if whole > 0 else 0.0


def spread(n: int, wanted: int) -> npt.NDArray[np.int64]:
    """At most `wanted` of n indices, evenly spaced."""
    k = min(n, wanted)
    return (np.arange(k) * n + n // 2) // k


def columns_of(importance: ImatrixEntry | None, matrix: int, n: int) -> Floats | None:
    """(n,) the importance of one matrix's columns"""
    return None if importance is None else np.ascontiguousarray(importance.importance.reshape(-1, n)[matrix])


def round_trip(rows: Rows, type_: GGMLType, importance: Floats | None) -> Floats:
    """The weights as they come back from a type.   (n_rows, n) -> (n_rows, n)"""
    out = np.empty((len(rows), find_type(type_).row_bytes(rows.shape[1])), np.uint8)
    pack(rows, type_, importance, out)
    return dequantize(out, type_)


def as_floats(rows: Rows) -> Floats:
    """float32, float16, or bfloat16 in uint16 -> float32"""
    if rows.dtype == np.uint16:
        return (rows.astype(np.uint32) << 16).view(np.float32)
    return rows.astype(np.float32)
