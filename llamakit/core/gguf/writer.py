"""Writing a GGUF file, version 3: metadata and tensors declared first, data at once or one tensor at a time."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llamakit.core.gguf.byteorder import swapped
from llamakit.core.gguf.file import FileMetadata
from llamakit.core.gguf.labels import parse_key, parse_name
from llamakit.core.gguf.layout import array_form, is_alignment, pad, tensor_bytes
from llamakit.core.gguf.output import OutputFile
from llamakit.core.gguf.tensor import Tensor
from llamakit.core.gguf.types import (
    ALIGNMENT_KEY,
    BLOCK_SIZES,
    DEFAULT_ALIGNMENT,
    MAGIC,
    MAX_ALIGNMENT,
    MAX_DIMS,
    MIN_ALIGNMENT,
    PLAIN_DTYPES,
    GGMLType,
    ValueType,
)
from llamakit.core.gguf.values import ByteOrder, Encoding, Values, encode, infer_types
from llamakit.errors import GGUFError

VERSION = 3
_PIECE = 1 << 24  # bytes of a tensor copied at once
_TYPES: dict[str, GGMLType] = {dtype: type_ for type_, dtype in PLAIN_DTYPES.items()}


@dataclass(slots=True)
class _Planned:
    """A declared tensor; `data` waits here when it was given before the header is written."""

    shape: tuple[int, ...]
    type: GGMLType
    n_bytes: int
    data: NDArray[np.generic] | Tensor | None = None
    n_written: int = 0

    @property
    def is_written(self) -> bool:
        return self.n_written >= self.n_bytes


class GGUFWriter:
    """Writes one file, beside its final name and renamed by `close`; after an error nothing is left of it.

    As a context manager it closes itself, or discards the file when the block raises:

        with GGUFWriter("model.gguf") as writer:
            writer.add("general.architecture", "llama")
            writer.add_tensor("token_embd.weight", embeddings)

    `add_tensor` keeps its array until `close`. To hold one tensor at a time, `declare_tensor` all of them, then
    `write_tensor` each, in any order, or `write_part` by part. Tensors lie in the file in the order of their
    declaration.

    An alignment other than 32 is written as `general.alignment`, behind all other keys unless it was added by hand.
    Raises GGUFError, naming the file, for a key, value, name, shape or array that the format cannot hold.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, alignment: int = DEFAULT_ALIGNMENT, byte_order: ByteOrder = "little"
    ) -> None:
        self.path = Path(path)
        self.byte_order: ByteOrder = byte_order
        self._encoding = Encoding(byte_order, VERSION)
        self._entries: dict[str, bytes] = {}
        self._tensors: dict[str, _Planned] = {}
        self._offsets: dict[str, int] = {}  # of the data in the file, filled when the header is written
        self._size = 0  # of the file, known from then on
        self._lock = Lock()  # held where parts of tensors are counted
        self.alignment = self._checked_alignment(alignment)
        self._output = OutputFile(path)

    def add(
        self, key: str, value: Values, type: ValueType | None = None, element_type: ValueType | None = None
    ) -> None:
        """Add a key. Types are inferred where none is given (`infer_types`): an int is UINT32 if it fits, a float
        FLOAT32, integers in lists INT32. `element_type` is that of the innermost elements of a list."""
        try:
            if type is None or type is ValueType.ARRAY:
                types = infer_types(value, element_type)
            else:
                types = (type,)
            raw = encode(value, types, self._encoding)
        except ValueError as error:
            raise self._error(f"key {key!r}: {error}") from None
        if type is not None and types[0] is not type:
            raise self._error(f"key {key!r}: {value!r:.60} is not a list")
        if key == ALIGNMENT_KEY:
            self._adopt_alignment(types, value)
        self._add_entry(key, types[0], raw)

    def copy_metadata(self, metadata: FileMetadata, skip: Collection[str] = ()) -> None:
        """Add all keys of an open file but those in `skip`, with their types, bit for bit."""
        for key in metadata:
            if key not in skip:
                self.copy_key(metadata, key)

    def copy_key(self, metadata: FileMetadata, key: str) -> None:
        """Add one key of an open file."""
        types = metadata.field(key).types
        if key == ALIGNMENT_KEY:
            self._adopt_alignment(types, metadata[key])
        self._add_entry(key, types[0], self._transcoded(metadata, key, types))

    def declare_tensor(self, name: str, shape: Sequence[int], type: GGMLType) -> None:
        """Announce a tensor, `shape` in GGUF order (fastest first), for `write_tensor` to fill."""
        self._check_open()
        shape = tuple(int(dim) for dim in shape)
        try:
            parse_name(name.encode("utf-8", "surrogateescape"))
            if name in self._tensors:
                raise ValueError("it is declared already")
            if not 1 <= len(shape) <= MAX_DIMS:
                raise ValueError(f"it has {len(shape)} dimensions; 1 to {MAX_DIMS} are allowed")
            self._tensors[name] = _Planned(shape, type, tensor_bytes(shape, type))
        except ValueError as error:
            raise self._error(f"tensor {name!r}: {error}") from None

    def add_tensor(
        self,
        name: str,
        array: ArrayLike,
        type: GGMLType | None = None,
        shape: Sequence[int] | None = None,
    ) -> None:
        """Declare a tensor and give its data, slowest dimension first as in `Tensor.data`.

        The type follows from the dtype (float32, float16, float64, int8 to int64); all others, BF16 too, are given
        as little-endian bytes, uint8 of [..., row_bytes], and named. `shape`, in GGUF order, need only be given when
        it does not follow from the array's.
        """
        try:
            array = np.asarray(array)
        except ValueError as error:
            raise self._error(f"tensor {name!r}: {error}") from None
        type = _TYPES.get(array.dtype.str[1:]) if type is None else type
        if type is None:
            raise self._error(f"tensor {name!r}: an array of {array.dtype} needs its GGML type named")
        if shape is None:
            shape = array.shape[::-1]
            if type not in PLAIN_DTYPES and shape:
                block = BLOCK_SIZES[type]
                n_blocks, rest = divmod(shape[0], block.n_bytes)
                if rest:
                    raise self._error(f"tensor {name!r}: rows of {shape[0]} bytes are no whole {type.name} blocks")
                shape = (n_blocks * block.n_values, *shape[1:])
        self.declare_tensor(name, shape, type)
        self._tensors[name].data = array

    def copy_tensor(self, tensor: Tensor) -> None:
        """Declare a tensor of an open file; its data is copied, bit for bit, by `close`."""
        self.declare_tensor(tensor.name, tensor.shape, tensor.type)
        self._tensors[tensor.name].data = tensor

    def write_tensor(self, name: str, data: NDArray[np.generic] | Tensor) -> None:
        """Write the data of a declared tensor now; no key or tensor can be added any more."""
        planned = self._writable(name)
        if isinstance(data, Tensor):
            self._copy(name, planned, data)
        else:
            self._output.write(self._offsets[name], self._stored(name, planned, data))
        planned.n_written, planned.data = planned.n_bytes, None

    def write_part(self, name: str, offset: int, data: memoryview) -> None:
        """Write some bytes of a declared tensor as they go to the file, `offset` counted from its start.

        Threads may do so at once. The tensor is whole when as many bytes were written as it has.
        """
        with self._lock:
            planned = self._writable(name)
        if offset + data.nbytes > planned.n_bytes:
            raise self._error(f"tensor {name!r} has {planned.n_bytes} bytes, not {offset + data.nbytes}")
        self._output.write(self._offsets[name] + offset, data)
        with self._lock:
            planned.n_written += data.nbytes

    def close(self) -> None:
        """Write what is left, bring it to the disk and give the file its name."""
        self.finish()
        self.publish()

    def finish(self) -> None:
        """The first half of `close`: the whole file is on the disk, and only its name is still missing."""
        try:
            if not self._size:
                self._write_header()
            for name, planned in self._tensors.items():
                if planned.data is not None:
                    self.write_tensor(name, planned.data)
            missing = [name for name, planned in self._tensors.items() if not planned.is_written]
            if missing:
                raise self._error(f"{len(missing)} declared tensors have no data, the first is {missing[0]!r}")
            self._output.finish(self._size)
        except BaseException:
            self.discard()
            raise

    def withdraw(self) -> None:
        """Remove the file that has the final name now, if there is one: the finished one is to take its place."""
        self._output.withdraw()

    def publish(self) -> None:
        """The second half of `close`: give the finished file its name."""
        try:
            self._output.publish()
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Give up: remove what was written. A file of the final name stays as it was."""
        self._output.discard()

    def __enter__(self) -> GGUFWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def _writable(self, name: str) -> _Planned:
        """The tensor of that name, in a file whose header is written."""
        if name not in self._tensors:
            raise self._error(f"tensor {name!r} was not declared")
        if not self._offsets:
            self._write_header()
        return self._tensors[name]

    def _add_entry(self, key: str, type_: ValueType, raw_value: bytes) -> None:
        self._check_open()
        try:
            raw_key = key.encode("utf-8", "surrogateescape")
            parse_key(raw_key)
            if key in self._entries:
                raise ValueError("it was added already")
        except ValueError as error:
            raise self._error(f"key {key!r:.80}: {error}") from None
        length, u32 = self._encoding.length, self._encoding.u32
        self._entries[key] = length.pack(len(raw_key)) + raw_key + u32.pack(type_) + raw_value

    def _transcoded(self, metadata: FileMetadata, key: str, types: tuple[ValueType, ...]) -> bytes:
        """A value's bytes in our encoding; the file's own where it writes numbers as we do."""
        source, raw = metadata.encoding, metadata.raw(key)
        if source.byte_order == self.byte_order and source.length.size == self._encoding.length.size:
            return raw
        try:
            # Arrays of arrays may change their type on the way, which `types` cannot say: then this differs.
            if encode(metadata[key], types, source) != raw:
                raise ValueError("inner arrays of different types cannot change their byte order")
            return encode(metadata[key], types, self._encoding)
        except ValueError as error:
            raise self._error(f"key {key!r}: {error}") from None

    def _adopt_alignment(self, types: tuple[ValueType, ...], value: Values) -> None:
        if types != (ValueType.UINT32,) or not isinstance(value, int):
            raise self._error(f"{ALIGNMENT_KEY} must be UINT32")
        self.alignment = self._checked_alignment(value)

    def _checked_alignment(self, alignment: int) -> int:
        if not is_alignment(alignment):
            message = f"the alignment {alignment} is no power of two from {MIN_ALIGNMENT} to {MAX_ALIGNMENT}"
            raise self._error(message)
        return alignment

    def _write_header(self) -> None:
        if self.alignment != DEFAULT_ALIGNMENT and ALIGNMENT_KEY not in self._entries:
            self.add(ALIGNMENT_KEY, self.alignment, ValueType.UINT32)
        length, u32, u64 = self._encoding.length, self._encoding.u32, self._encoding.u64
        counts = u64.pack(len(self._tensors)) + u64.pack(len(self._entries))
        header = bytearray(MAGIC + u32.pack(VERSION) + counts)
        for entry in self._entries.values():
            header += entry
        data_offset = 0
        for name, planned in self._tensors.items():
            raw_name = name.encode()
            header += length.pack(len(raw_name)) + raw_name + u32.pack(len(planned.shape))
            header += b"".join(map(u64.pack, planned.shape)) + u32.pack(planned.type) + u64.pack(data_offset)
            self._offsets[name] = data_offset
            data_offset = pad(data_offset + planned.n_bytes, self.alignment)
        start = pad(len(header), self.alignment)
        self._offsets = {name: start + offset for name, offset in self._offsets.items()}
        self._size = start + data_offset
        self._output.write(0, bytes(header))

    def _copy(self, name: str, planned: _Planned, tensor: Tensor) -> None:
        """Copy a tensor's bytes, piece by piece: neither the file read nor the one written fills the memory."""
        if (tensor.shape, tensor.type) != (planned.shape, planned.type):
            raise self._error(f"tensor {name!r}: declared as {planned.type.name} {planned.shape}, given another")
        block_bytes = BLOCK_SIZES[tensor.type].n_bytes
        for start, piece in tensor.pieces(_PIECE // block_bytes * block_bytes):
            raw = piece if tensor.byte_order == self.byte_order else swapped(piece, tensor.type)
            self._output.write(self._offsets[name] + start, raw.data)

    def _stored(self, name: str, planned: _Planned, data: NDArray[np.generic]) -> memoryview:
        """The bytes of a tensor as they go to the file."""
        wanted, shape = array_form(planned.shape, planned.type)
        if data.dtype.str[1:] != wanted or data.shape not in (shape, (data.size,)) or data.nbytes != planned.n_bytes:
            message = f"{planned.type.name} wants an array of {wanted} {shape}, not of {data.dtype} {data.shape}"
            raise self._error(f"tensor {name!r}: {message}")
        if wanted != "u1":
            return np.ascontiguousarray(data, self._encoding.mark + wanted).reshape(-1).view(np.uint8).data
        raw = np.ascontiguousarray(data, np.uint8).reshape(-1)
        return raw.data if self.byte_order == "little" else swapped(raw, planned.type).data

    def _check_open(self) -> None:
        if self._size:
            raise self._error("the header is written already: add keys and tensors before the first write_tensor")

    def _error(self, message: str) -> GGUFError:
        return GGUFError(self.path, None, message)
