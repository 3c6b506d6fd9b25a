"""Models cut into shards and put together again: the library side of `llamakit gguf-split`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from llamakit.core.gguf.layout import pad
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.shards import MAX_SHARDS, SPLIT_KEYS, ShardName, is_shard
from llamakit.core.gguf.split_writer import SplitWriter, shard_paths
from llamakit.core.gguf.tensor import Tensor
from llamakit.core.gguf.types import DEFAULT_ALIGNMENT, MAGIC
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.errors import GGUFError, UsageError

_SPLIT_KEY_BYTES = sum(8 + len(key) + 4 for key in SPLIT_KEYS) + 2 + 4 + 2
_FIXED_BYTES = len(MAGIC) + 4 + 8 + 8


@dataclass(frozen=True, slots=True)
class Shard:
    """One file to be: its tensors, and how long it will be without padding."""

    tensors: Sequence[Tensor]
    n_bytes: int


def plan(
    reader: GGUFReader, *, max_tensors: int = 128, max_bytes: int | None = None, has_tensors_first: bool = True
) -> list[Shard]:
    """Cut a model's tensors, in their order, where llama-gguf-split cuts them.

    A shard ends after each `max_tensors` tensors or, with `max_bytes`, before the tensor that would make its data
    (every tensor padded to 32) longer; a tensor longer than that has a shard of its own. Without
    `has_tensors_first` the first shard holds metadata only. Raises UsageError for limits that cannot be kept.
    """
    if max_tensors < 1 or (max_bytes is not None and max_bytes < 1):
        raise UsageError("a shard must be allowed at least one tensor, and at least one byte")
    cuts: list[list[Tensor]] = [[]]
    if not has_tensors_first and reader.tensors:
        cuts.append([])
    n_bytes = 0
    for i, tensor in enumerate(reader.tensors):
        size = pad(tensor.n_bytes, DEFAULT_ALIGNMENT)
        is_full = i % max_tensors == 0 if max_bytes is None else n_bytes + size > max_bytes
        if is_full and cuts[-1]:
            cuts.append([])
            n_bytes = 0
        cuts[-1].append(tensor)
        n_bytes += size
    if len(cuts) > MAX_SHARDS:
        raise UsageError(f"{reader.path} would become {len(cuts)} shards, more than {MAX_SHARDS}: raise the limit")
    return [
        Shard(tensors, _header_bytes(reader, tensors, is_first=i == 0) + sum(tensor.n_bytes for tensor in tensors))
        for i, tensors in enumerate(cuts)
    ]


def split(reader: GGUFReader, shards: Sequence[Shard], prefix: str) -> Iterator[int]:
    """Write the shards of a plan as PREFIX-00001-of-0000N.gguf and so on; yields the bytes written so far.

    The files get their names together at the end (see `SplitWriter`); whoever stops asking discards them.
    Raises UsageError when a shard would take the place of a file that is being read.
    """
    for path in shard_paths(prefix, len(shards)):
        _refuse_input(reader, path)
    n_written = 0
    with SplitWriter(prefix, len(shards), alignment=reader.alignment, byte_order=reader.byte_order) as writer:
        writer.shards[0].copy_metadata(reader.metadata, skip=SPLIT_KEYS)
        writer.add_split_keys(len(reader.tensors))
        for shard, output in zip(shards, writer.shards, strict=True):
            for n_bytes in _copy(shard.tensors, output):
                n_written += n_bytes
                yield n_written


def merge(reader: GGUFReader, output: str) -> Iterator[int]:
    """Write all shards of an open split as one file, without any split.* key; yields the bytes written so far.

    Raises UsageError when there is no split to merge, or the output is there already.
    """
    check_merge(reader, output)
    n_written = 0
    with GGUFWriter(output, byte_order=reader.byte_order) as writer:
        writer.copy_metadata(reader.metadata, skip=SPLIT_KEYS)
        for n_bytes in _copy(reader.tensors, writer):
            n_written += n_bytes
            yield n_written


def check_merge(reader: GGUFReader, output: str) -> None:
    """What `merge` refuses, without writing anything."""
    if not is_shard(reader.files[0]):
        raise UsageError(f"{reader.path} is no shard of a split: there is nothing to merge")
    if os.path.lexists(output):
        raise UsageError(f"{output} exists already; merge into another name or remove it first")


def delete_shards(reader: GGUFReader) -> list[Path]:
    """Delete the files of an open split, the first one first: what is left of it is no model any more."""
    for file in reader.files:
        try:
            file.path.unlink()
        except OSError as error:
            raise GGUFError(file.path, None, f"cannot delete: {error.strerror}") from None
    return [file.path for file in reader.files]


def open_for_merge(path: str) -> GGUFReader:
    """Open a split by its first shard. Raises GGUFError, naming the shard, for whatever does not fit together."""
    name = ShardName.parse(path)
    if name is not None and name.number != 1:
        raise UsageError(f"{path} is shard {name.number}; give the first, {name.siblings()[0]}")
    return GGUFReader(path)


def _copy(tensors: Sequence[Tensor], writer: GGUFWriter) -> Iterator[int]:
    """Declare and write tensors; yields the bytes of each."""
    for tensor in tensors:
        writer.declare_tensor(tensor.name, tensor.shape, tensor.type)
    for tensor in tensors:
        writer.write_tensor(tensor.name, tensor)
        yield tensor.n_bytes


def _refuse_input(reader: GGUFReader, path: str) -> None:
    for file in reader.files:
        if os.path.exists(path) and os.path.samefile(path, file.path):
            raise UsageError(f"{path} is being read and would be overwritten; choose another output")


def _header_bytes(reader: GGUFReader, tensors: Sequence[Tensor], *, is_first: bool) -> int:
    """Bytes of a shard's header with its padding, as GGUF version 3 writes it."""
    fields = [reader.metadata.field(key) for key in reader.metadata if key not in SPLIT_KEYS] if is_first else []
    entries = sum(field.end - field.offset for field in fields)
    infos = sum(8 + len(tensor.name.encode()) + 4 + 8 * len(tensor.shape) + 4 + 8 for tensor in tensors)
    return pad(_FIXED_BYTES + entries + _SPLIT_KEY_BYTES + infos, reader.alignment)
