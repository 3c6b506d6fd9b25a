"""One GGUF file, read-only: metadata and tensors, every bound checked when it is opened."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from llamakit.core.gguf.header import Field, Header, read_header
from llamakit.core.gguf.layout import place_tensors
from llamakit.core.gguf.source import Source
from llamakit.core.gguf.tensor import Tensor
from llamakit.core.gguf.types import SCALAR_CODES
from llamakit.core.gguf.values import ByteOrder, Encoding, Value, decode
from llamakit.errors import GGUFError

log = logging.getLogger(__name__)


class FileMetadata(Mapping[str, Value]):
    """Key/values of a file as Python values, decoded when first asked for and kept.

    Strings that are not UTF-8 carry their odd bytes as lone surrogates (`surrogateescape`). `len` and iteration
    decode nothing. Lists belong to the mapping: copy before changing one.
    """

    def __init__(self, header: Header) -> None:
        self._header = header
        self._values: dict[str, Value] = {}

    def __getitem__(self, key: str) -> Value:
        if key not in self._values:
            field = self._header.fields[key]
            self._values[key] = decode(self._header.raw, field.value_offset, field.types[0], self._header.encoding)
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._header.fields)

    def __len__(self) -> int:
        return len(self._header.fields)

    def __contains__(self, key: object) -> bool:
        return key in self._header.fields

    @property
    def encoding(self) -> Encoding:
        """How the file writes its numbers and lengths."""
        return self._header.encoding

    def field(self, key: str) -> Field:
        """Types, length and place of an entry; raises KeyError."""
        return self._header.fields[key]

    def array(self, key: str) -> NDArray[np.generic]:
        """A flat array of numbers as numpy sees it, read-only, native byte order, without a list in between.

        Raises KeyError for an absent key, TypeError for anything but an array of numbers or truth values.
        """
        field, encoding = self._header.fields[key], self._header.encoding
        if len(field.types) != 2 or field.types[1] not in SCALAR_CODES:
            raise TypeError(f"{key!r} is {'/'.join(type_.name for type_ in field.types)}, no array of numbers")
        dtype = encoding.dtype(field.types[1])
        start = field.end - field.n_values * dtype.itemsize
        array = np.frombuffer(self._header.raw, dtype, field.n_values, start)
        return array.astype(dtype.newbyteorder("="), copy=False)

    def raw(self, key: str) -> bytes:
        """The bytes of a value (for an array, from its element type on) as they lie in the file."""
        field = self._header.fields[key]
        return self._header.raw[field.value_offset : field.end]


class GGUFFile:
    """One file: a whole model, or one shard of a split (see `GGUFReader`).

    Opening reads the header into memory and maps the tensor data. `use_mmap=False` reads each tensor into memory
    when it is asked for instead: choose it where others may truncate the file in use, which kills a process that
    has it mapped. Oddities that do no harm are in `warnings` and logged; `strict` refuses them.
    Raises GGUFError, naming file and byte, for whatever is not as the format demands.
    """

    def __init__(self, path: str | os.PathLike[str], *, strict: bool = False, use_mmap: bool = True) -> None:
        self._source = Source(path)
        try:
            header = read_header(self._source)
            layout = place_tensors(self._source.path, self._source.size, header)
            if strict and layout.warnings:
                raise GGUFError(self._source.path, None, f"refused in strict mode: {layout.warnings[0]}")
            if use_mmap and header.tensors:
                self._source.map(layout.data_end)
        except BaseException:
            self._source.close()
            raise
        self.path = self._source.path
        self.version = header.version
        self.byte_order: ByteOrder = header.encoding.byte_order
        self.alignment = layout.alignment
        self.data_offset = layout.data_offset
        self.metadata = FileMetadata(header)
        self.warnings = tuple(layout.warnings)
        self.tensors = [
            Tensor(info.name, info.shape, info.type, start, n_bytes, info.offset, self.byte_order, self._source)
            for info, (start, n_bytes) in zip(header.tensors, layout.extents, strict=True)
        ]
        for warning in self.warnings:
            log.warning("%s: %s", self.path, warning)

    def close(self) -> None:
        """Close the file; asking for tensor data then raises ValueError. Arrays handed out stay valid."""
        self._source.close()

    def __enter__(self) -> GGUFFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
