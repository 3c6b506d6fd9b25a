"""A model with LoRA adapters merged into its weights, as a file of its own: W + scale * alpha / rank * B A."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from llamakit.core.engine.adapters import EMBEDDING, Adapter, Pair, check_adapter
from llamakit.core.gguf.layout import row_bytes
from llamakit.core.gguf.metadata import Metadata
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.shards import SPLIT_KEYS
from llamakit.core.gguf.tensor import Tensor
from llamakit.core.gguf.types import GGMLType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.core.quants import dequantize, find_type, quantize
from llamakit.errors import UsageError

PIECE = 1 << 22  # values that are merged at once
FILE_TYPE, F16 = "general.file_type", 1


@dataclass(frozen=True, slots=True)
class Step:
    """A tensor that is in the new file, and how many adapters changed it."""

    tensor: Tensor
    type: GGMLType
    n_merged: int


def merge(
    reader: GGUFReader,
    adapters: Sequence[tuple[Adapter, float]],
    output: str | os.PathLike[str],
    keeps_types: bool = False,
    n_threads: int | None = None,
) -> Iterator[Step]:
    """Write the merged model, tensor by tensor; whoever stops asking discards it.

    Matrices that change become F16, as llama.cpp's tool has it (F32 stays), or keep their types, but for those that
    need an importance matrix. Raises ModelError for an adapter that does not fit, UsageError for an output that is
    being read.
    """
    arch = Metadata.of_model(reader.metadata, reader.path).arch
    for adapter, _ in adapters:
        check_adapter(adapter, arch, reader)
    refuse_inputs(output, [*(file.path for file in reader.files), *(adapter.path for adapter, _ in adapters)])
    merged = {name for adapter, _ in adapters for name in adapter.pairs}
    types = {t.name: new_type(t, keeps_types) if t.name in merged else t.type for t in reader.tensors}
    with GGUFWriter(output) as writer:
        changes_type = any(types[t.name] is not t.type for t in reader.tensors)
        writer.copy_metadata(reader.metadata, skip={*SPLIT_KEYS, *([FILE_TYPE] if changes_type else [])})
        if changes_type:
            writer.add(FILE_TYPE, F16)
        for tensor in reader.tensors:
            writer.declare_tensor(tensor.name, tensor.shape, types[tensor.name])
        for tensor in reader.tensors:
            changes = [(a.pairs[tensor.name], s * a.factor(tensor.name)) for a, s in adapters if tensor.name in a.pairs]
            if changes:
                write_merged(writer, tensor, changes, types[tensor.name], n_threads)
            else:
                writer.write_tensor(tensor.name, tensor)
            reader.release(tensor)
            yield Step(tensor, types[tensor.name], len(changes))


def new_type(tensor: Tensor, keeps_types: bool) -> GGMLType:
    if tensor.type is GGMLType.F32 or (keeps_types and not find_type(tensor.type).needs_imatrix):
        return tensor.type
    return GGMLType.F16


def write_merged(
    writer: GGUFWriter,
    tensor: Tensor,
    changes: Sequence[tuple[Pair, float]],
    type: GGMLType,
    n_threads: int | None,
) -> None:
    """Merge and write some rows at a time."""
    n_columns, n_rows = tensor.shape[:2]
    data = tensor.data.reshape(-1, n_rows, tensor.data.shape[-1])
    n_row, step = row_bytes(n_columns, type), max(1, PIECE // n_columns)
    for i, matrix in enumerate(data):
        for first in range(0, n_rows, step):
            rows = slice(first, first + step)
            weights = np.array(dequantize(matrix[rows], tensor.type), np.float32)
            for pair, factor in changes:
                weights += np.float32(factor) * product(pair, tensor.name, i, rows)
            raw = np.ascontiguousarray(quantize(weights, type, n_threads=n_threads)).reshape(-1)
            writer.write_part(tensor.name, (i * n_rows + first) * n_row, raw.view(np.uint8).data)


def product(pair: Pair, name: str, i: int, rows: slice) -> npt.NDArray[np.float32]:
    """Rows of B A, of matrix i where there are several."""
    if name == EMBEDDING:
        return np.asarray(pair.a[rows] @ pair.b.T, np.float32)
    a, b = (half.reshape(-1, *half.shape[-2:])[i] for half in (pair.a, pair.b))
    return np.asarray(b[rows] @ a, np.float32)


def refuse_inputs(output: str | os.PathLike[str], inputs: Sequence[Path]) -> None:
    for path in inputs:
        if os.path.exists(output) and os.path.samefile(output, path):
            raise UsageError(f"{os.fspath(output)} is being read; choose another output")
