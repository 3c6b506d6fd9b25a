"""Importance matrices on disk: how large the inputs of each weight matrix are, column by column.

Source of both layouts: llama-imatrix. GGUF: for each matrix NAME a tensor `NAME.in_sum2`, F32 [n, n_matrices], and
`NAME.counts`, F32 [1, n_matrices]; keys imatrix.datasets, imatrix.chunk_count, imatrix.chunk_size. The older .dat, all
little-endian: i32 number of entries; for each i32 length and bytes of its name, i32 calls, i32 number of values, f32
values, each the mean square times calls; then, if present, i32 chunks, i32 length and bytes of the dataset's name.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from llamakit.core.gguf import formats
from llamakit.core.gguf.output import write_file
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.source import Source
from llamakit.core.gguf.types import MAGIC, GGMLType, ValueType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.errors import GGUFError, UsageError

Floats = npt.NDArray[np.float32]

SUMS, COUNTS = ".in_sum2", ".counts"
DATASETS, CHUNK_COUNT, CHUNK_SIZE = "imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size"
_I32 = struct.Struct("<i")
_LONGEST_NAME = 1 << 10  # bytes of a tensor's or dataset's name in a .dat file; real ones have less than 300


@dataclass(frozen=True, slots=True)
class ImatrixEntry:
    """What one weight matrix, or a stack of one for each expert, was multiplied with.

    sums: (n_matrices, n) float32, the squares of each column's inputs added up; counts: (n_matrices,) float32, the
    inputs seen. A .dat file knows no matrices: all its columns lie in one row, and inputs are counted in chunks.
    """

    sums: Floats
    counts: Floats

    @property
    def importance(self) -> Floats:
        """Mean square of each column, (n_matrices, n) float32; 1 for a matrix that saw no input."""
        seen = self.counts[:, None] > 0
        return np.where(seen, self.sums / np.where(seen, self.counts[:, None], 1), np.float32(1)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Imatrix:
    """An importance matrix: entries by the name of the weight, such as "blk.0.attn_q.weight"."""

    entries: Mapping[str, ImatrixEntry]
    datasets: tuple[str, ...] = ()  # the texts it was computed from
    n_chunks: int = 0  # of these texts, all together
    chunk_size: int = 0  # tokens in a chunk; 0: not known, and entries count chunks

    def with_chunk_size(self, chunk_size: int) -> Imatrix:
        """The same matrix with its inputs counted in tokens, if it counts chunks (as read from a .dat file)."""
        if self.chunk_size:
            return self
        size = np.float32(chunk_size)
        entries = {name: ImatrixEntry(e.sums * size, e.counts * size) for name, e in self.entries.items()}
        return Imatrix(entries, self.datasets, self.n_chunks, chunk_size)


def merge(matrices: Iterable[Imatrix]) -> Imatrix:
    """One matrix as if computed from all texts; inputs must be counted alike (`with_chunk_size`).

    Raises UsageError for matrices of different models or chunk sizes.
    """
    entries: dict[str, ImatrixEntry] = {}
    datasets: list[str] = []
    n_chunks, chunk_size = 0, None
    for matrix in matrices:
        if chunk_size not in (None, matrix.chunk_size):
            raise UsageError(f"importance matrices of chunks of {chunk_size} and {matrix.chunk_size} tokens do not add")
        datasets += matrix.datasets
        n_chunks, chunk_size = n_chunks + matrix.n_chunks, matrix.chunk_size
        for name, new in matrix.entries.items():
            old = entries.get(name)
            if old is not None and old.sums.shape != new.sums.shape:
                shapes = f"{old.sums.shape} and {new.sums.shape}"
                raise UsageError(f"importance matrices of different models: {name} has shapes {shapes}")
            entries[name] = new if old is None else ImatrixEntry(old.sums + new.sums, old.counts + new.counts)
    return Imatrix(entries, tuple(datasets), n_chunks, chunk_size or 0)


def read_imatrix(path: str | os.PathLike[str]) -> Imatrix:
    """Read a file of either format.

    Raises GGUFError, naming file and entry, for one that is neither or whose numbers cannot be sums of squares.
    """
    source = Source(path)
    try:
        head = source.read(0, min(source.size, formats.HEAD_BYTES))
        matrix = _read_gguf(source.path) if head.startswith(MAGIC) else _DatReader(source, head).read()
    finally:
        source.close()
    if not matrix.entries:
        raise GGUFError(source.path, None, "holds no importance matrix")
    for name, entry in matrix.entries.items():
        for what, numbers in (("sum of squares", entry.sums), ("count", entry.counts)):
            # NaN is neither, so this form refuses it too.
            wrong = ~((numbers >= 0) & (numbers < np.inf))
            if wrong.any():
                message = f"entry {name!r} holds {numbers[wrong][0]} as a {what}; compute the matrix anew"
                raise GGUFError(source.path, None, message)
    return matrix


def write_gguf(path: str | os.PathLike[str], matrix: Imatrix) -> None:
    """Write the GGUF format, beside the final name and renamed. Raises GGUFError for what cannot be written."""
    with GGUFWriter(path) as writer:
        writer.add("general.type", "imatrix")
        writer.add(DATASETS, list(matrix.datasets), element_type=ValueType.STRING)
        writer.add(CHUNK_COUNT, matrix.n_chunks, ValueType.UINT32)
        writer.add(CHUNK_SIZE, matrix.chunk_size, ValueType.UINT32)
        for name, entry in sorted(matrix.entries.items()):
            writer.add_tensor(name + SUMS, entry.sums.astype(np.float32))
            writer.add_tensor(name + COUNTS, entry.counts.astype(np.float32)[:, None])


def write_dat(path: str | os.PathLike[str], matrix: Imatrix) -> None:
    """Write the older format, beside the final name and renamed; entries that saw no input are left out."""
    seen = {name: entry for name, entry in sorted(matrix.entries.items()) if entry.counts.max(initial=0) > 0}
    out = bytearray(_I32.pack(len(seen)))
    for name, entry in seen.items():
        raw = name.encode()
        n_calls = int(-(-entry.counts.max() // max(1, matrix.chunk_size)))
        values = (entry.importance * np.float32(n_calls)).astype("<f4")
        out += _I32.pack(len(raw)) + raw + _I32.pack(n_calls) + _I32.pack(values.size) + values.tobytes()
    dataset = matrix.datasets[-1].encode("utf-8", "surrogateescape") if matrix.datasets else b""
    out += _I32.pack(matrix.n_chunks) + _I32.pack(len(dataset)) + dataset
    write_file(path, bytes(out))


def _read_gguf(path: Path) -> Imatrix:
    with GGUFReader(path, use_mmap=False) as reader:
        pairs: dict[str, dict[str, Floats]] = {}
        for tensor in reader.tensors:
            for suffix in (SUMS, COUNTS):
                if tensor.name.endswith(suffix):
                    if tensor.type is not GGMLType.F32:
                        raise GGUFError(path, tensor.info_offset, f"tensor {tensor.name!r} must be F32")
                    data = tensor.data.astype(np.float32).reshape(-1)
                    pairs.setdefault(tensor.name.removesuffix(suffix), {})[suffix] = data
        if not pairs:
            kind = reader.metadata.get("general.type", "file of another kind")
            raise GGUFError(path, None, f"holds no importance matrix: it is a {kind}; `llamakit imatrix` makes one")
        entries = {name: _entry(path, name, pair) for name, pair in pairs.items()}
        datasets = reader.metadata.get(DATASETS, [])
        return Imatrix(
            entries,
            tuple(text for text in datasets if isinstance(text, str)) if isinstance(datasets, list) else (),
            _count(reader, CHUNK_COUNT),
            _count(reader, CHUNK_SIZE),
        )


def _entry(path: Path, name: str, pair: Mapping[str, Floats]) -> ImatrixEntry:
    if len(pair) != 2:
        missing = COUNTS if SUMS in pair else SUMS
        raise GGUFError(path, None, f"entry {name!r} lacks its {missing!r}; the file is damaged")
    sums, counts = pair[SUMS], pair[COUNTS]
    if sums.size % counts.size:
        raise GGUFError(path, None, f"entry {name!r} has {sums.size} sums for {counts.size} matrices")
    return ImatrixEntry(sums.reshape(counts.size, -1), counts)


def _count(reader: GGUFReader, key: str) -> int:
    value = reader.metadata.get(key, 0)
    return value if isinstance(value, int) and value >= 0 else 0


class _DatReader:
    """Walks a .dat file from front to back; every length is checked before it is believed."""

    def __init__(self, source: Source, head: bytes) -> None:
        self.source, self.head = source, head
        self.offset = 0

    def read(self) -> Imatrix:
        n_entries = self.number("the number of entries")
        # The least an entry takes: a name of one byte, one value, three numbers.
        if not 1 <= n_entries <= self.source.size // 17:
            message = f"neither a GGUF nor a .dat importance matrix: it is {formats.guess(self.head)}"
            raise GGUFError(self.source.path, 0, message)
        entries: dict[str, ImatrixEntry] = {}
        for i in range(n_entries):
            name = self.text(f"the name of entry {i + 1} of {n_entries}")
            n_calls, n_values = self.number(f"the calls of {name!r}"), self.number(f"the length of {name!r}")
            if n_values < 1 or n_calls < 0 or name in entries:
                raise self.error(f"entry {name!r} is damaged: {n_values} values of {n_calls} calls")
            values = np.frombuffer(self.take(4 * n_values, f"the values of {name!r}"), "<f4").astype(np.float32)
            entries[name] = ImatrixEntry(values[None, :], np.array([max(1, n_calls)], np.float32))
        n_chunks = self.number("the number of chunks") if self.offset < self.source.size else 0
        datasets = (self.text("the dataset's name", least=0),) if self.offset < self.source.size else ()
        return Imatrix(entries, tuple(filter(None, datasets)), max(0, n_chunks))

    def number(self, what: str) -> int:
        return int(_I32.unpack(self.take(4, what))[0])

    def text(self, what: str, least: int = 1) -> str:
        length = self.number(f"the length of {what}")
        if not least <= length <= _LONGEST_NAME:
            raise self.error(f"{what} has {length} bytes; is it an importance matrix?")
        return self.take(length, what).decode("utf-8", "surrogateescape")

    def take(self, n_bytes: int, what: str) -> bytes:
        if self.offset + n_bytes > self.source.size:
            raise self.error(f"{what} does not fit: the file ends at byte {self.source.size}; is it cut short?")
        self.offset += n_bytes
        return self.source.read(self.offset - n_bytes, n_bytes)

    def error(self, message: str) -> GGUFError:
        return GGUFError(self.source.path, self.offset, message)
