"""A plan carried out: one tensor in memory at a time, the file named when it is whole."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from llamakit.convert.plan import Plan, PlannedWeight
from llamakit.convert.weight import BF16, Array, as_float32
from llamakit.core.gguf.byteorder import swapped
from llamakit.core.gguf.layout import row_bytes
from llamakit.core.gguf.split_writer import SplitWriter
from llamakit.core.gguf.types import GGMLType, ValueType
from llamakit.core.gguf.values import ByteOrder
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.core.quants.packing import pack, prepare
from llamakit.errors import ModelError

PIECE = 1 << 22  # values that are converted at once

_INFINITE = {np.dtype(np.float16): 0x7C00, BF16: 0x7F80}  # bits of the exponent, all set in NaN and infinity
_SAME = {np.dtype(np.float32): GGMLType.F32, np.dtype(np.float16): GGMLType.F16, BF16: GGMLType.BF16}


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a tensor that is in the new file."""

    planned: PlannedWeight
    n_bytes: int


@dataclass(frozen=True)
class Options:
    """How a file is written. `max_bytes` and `max_tensors` of a shard: None for one file."""

    byte_order: ByteOrder = "little"
    max_bytes: int | None = None
    max_tensors: int | None = None
    is_first_empty: bool = False  # the first shard has no tensors
    allow_non_finite: bool = False
    n_threads: int | None = None
    non_finite: dict[str, int] = field(default_factory=dict)  # filled: values that are NaN or infinite, by tensor

    @property
    def is_split(self) -> bool:
        return self.max_bytes is not None or self.max_tensors is not None


def load_kernels(plan: Plan) -> None:
    """Have the kernels of a plan at hand, which takes a while where they were never compiled before."""
    types = {planned.type for planned in plan.weights if planned.type is not _SAME[planned.weight.dtype]}
    if types - {GGMLType.F32}:
        prepare(types - {GGMLType.F32}, has_imatrix=False)


def carry_out(plan: Plan, output: Path, options: Options) -> Generator[Step, None, None]:
    """Write the file, or the shards named after it; whoever stops asking discards what was written.

    Raises ModelError before anything is written for a plan of a file that could not be loaded, and for tensors with
    NaN or infinity, saying how many, unless they are allowed; GGUFError for files that cannot be written.
    """
    plan.check()
    with _opened(plan, output, options) as writers:
        for planned, writer in zip(plan.weights, writers, strict=True):
            writer.declare_tensor(planned.name, planned.shape, planned.type)
        for planned, writer in zip(plan.weights, writers, strict=True):
            yield from _write(planned, writer, options)


def shards_of(plan: Plan, options: Options) -> list[int]:
    """The number of each tensor's shard."""
    numbers: list[int] = []
    n_bytes = n_tensors = 0
    number = int(options.is_first_empty)
    for planned in plan.weights:
        is_full = (options.max_tensors is not None and n_tensors >= options.max_tensors) or (
            options.max_bytes is not None and n_tensors and n_bytes + planned.n_bytes > options.max_bytes
        )
        if is_full:
            number, n_bytes, n_tensors = number + 1, 0, 0
        n_bytes, n_tensors = n_bytes + planned.n_bytes, n_tensors + 1
        numbers.append(number)
    return numbers


@contextmanager
def _opened(plan: Plan, output: Path, options: Options) -> Iterator[list[GGUFWriter]]:
    """The writer of each tensor, with all keys given."""
    if not options.is_split or not plan.weights:
        with GGUFWriter(output, byte_order=options.byte_order) as writer:
            _add_keys(writer, plan.keys)
            yield [writer] * len(plan.weights)
        return
    numbers = shards_of(plan, options)
    prefix = os.fspath(output).removesuffix(".gguf")
    with SplitWriter(prefix, numbers[-1] + 1, byte_order=options.byte_order) as split:
        _add_keys(split.shards[0], plan.keys)
        split.add_split_keys(len(plan.weights))
        yield [split.shards[number] for number in numbers]


def _add_keys(writer: GGUFWriter, keys: Mapping[str, Any]) -> None:
    for key, value in keys.items():
        if isinstance(value, list) and not value:
            continue
        writer.add(key, value, ValueType.ARRAY if isinstance(value, (list, np.ndarray)) else None)


def _write(planned: PlannedWeight, writer: GGUFWriter, options: Options) -> Iterator[Step]:
    """Compute a tensor and write it, some rows at a time."""
    array = planned.weight.load()
    if array.shape != planned.weight.shape:
        raise ModelError(f"tensor {planned.name} has the shape {array.shape}, not {planned.weight.shape}")
    rows = array.reshape(-1, array.shape[-1])
    n_row = row_bytes(rows.shape[1], planned.type)
    step = max(1, PIECE // rows.shape[1])
    n_bad = 0
    for first in range(0, len(rows), step):
        slab = rows[first : first + step]
        raw = converted(slab, planned.type, options.n_threads)
        # Of F16 what is written counts: large values become infinite in it.
        n_bad += count_non_finite(raw.view("<f2") if planned.type is GGMLType.F16 else slab)
        if options.byte_order == "big":
            raw = swapped(raw, planned.type)
        writer.write_part(planned.name, first * n_row, raw.data)
        yield Step(planned, raw.nbytes)
    planned.weight.release()
    if n_bad:
        options.non_finite[planned.name] = n_bad
        if not options.allow_non_finite:
            where = " in F16; --outtype bf16 or f32 holds larger ones" if planned.type is GGMLType.F16 else ""
            raise ModelError(
                f"tensor {planned.name} (of {', '.join(planned.weight.sources[:2])}) has {n_bad} values that are NaN "
                f"or infinite{where}; is the checkpoint damaged? --allow-non-finite writes them all the same"
            )


def converted(slab: Array, type_: GGMLType, n_threads: int | None) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Rows as the bytes of a type, uint8 (n_bytes,), little-endian."""
    if type_ is GGMLType.F32:
        return np.ascontiguousarray(as_float32(slab), "<f4").reshape(-1).view(np.uint8)
    if type_ is _SAME[slab.dtype]:
        return np.ascontiguousarray(slab).reshape(-1).view(np.uint8)
    out = np.empty((len(slab), row_bytes(slab.shape[1], type_)), np.uint8)
    pack(np.ascontiguousarray(slab), type_, None, out, n_threads)
    return out.reshape(-1)


def count_non_finite(slab: Array) -> int:
    """How many values are NaN or infinite."""
    if slab.dtype == np.float32:
        return slab.size - int(np.count_nonzero(np.isfinite(slab)))
    mask = np.uint16(_INFINITE[slab.dtype])
    return int(np.count_nonzero((np.ascontiguousarray(slab).view(np.uint16) & mask) == mask))
