"""One named array of a file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from llamakit.core.gguf.byteorder import swapped
from llamakit.core.gguf.layout import array_form
from llamakit.core.gguf.source import Source
from llamakit.core.gguf.types import PLAIN_DTYPES, GGMLType
from llamakit.core.gguf.values import ByteOrder


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of an open file; its bytes are looked at only when asked for."""

    name: str
    shape: tuple[int, ...]  # GGUF order: fastest first, so [n_in, n_out] for a weight of n_out rows
    type: GGMLType
    offset: int  # of the data in the file
    n_bytes: int
    info_offset: int  # of the header's entry in the file
    byte_order: ByteOrder = field(repr=False)
    source: Source = field(repr=False, compare=False)

    @property
    def n_values(self) -> int:
        return math.prod(self.shape)

    @property
    def raw(self) -> NDArray[np.uint8]:
        """The bytes as they lie in the file, uint8 [n_bytes], read-only; not copied when the file is mapped."""
        return self.source.view(self.offset, self.n_bytes)

    @property
    def data(self) -> NDArray[np.generic]:
        """The values, slowest dimension first, read-only; not copied when the file is mapped.

        F32, F16, F64 and the integer types have their numpy dtype, in the file's byte order, and shape
        `shape[::-1]`. All other types, BF16 among them, are uint8 of [*shape[:0:-1], row_bytes], whole blocks in
        little-endian order: from a big-endian file that is a copy. Raises GGUFError when the file has become
        shorter.
        """
        code, shape = array_form(self.shape, self.type)
        raw = self.raw
        if self.type in PLAIN_DTYPES:
            return raw.view(("<" if self.byte_order == "little" else ">") + code).reshape(shape)
        if self.byte_order == "big":
            raw = swapped(raw, self.type)
            raw.flags.writeable = False
        return raw.reshape(shape)

    def pieces(self, n_bytes: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """`raw` in pieces of `n_bytes`, each with its offset in the tensor and out of memory again after use."""
        for start in range(0, self.n_bytes, n_bytes):
            n = min(n_bytes, self.n_bytes - start)
            yield start, self.source.view(self.offset + start, n)
            self.source.release(self.offset + start, n)

    def release(self) -> None:
        """Drop the tensor's pages from memory; they are read again if touched again."""
        self.source.release(self.offset, self.n_bytes)
