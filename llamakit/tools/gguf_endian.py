"""Files turned round to the other byte order: the library side of `llamakit gguf convert-endian`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from llamakit.core.gguf.file import GGUFFile
from llamakit.core.gguf.values import ByteOrder
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.errors import UsageError

ORDERS = ("big", "little", "native")


def parse_order(name: str) -> ByteOrder:
    """`native` is this machine's. Raises UsageError for anything but `ORDERS`."""
    if name not in ORDERS:
        raise UsageError(f"{name!r} is no byte order; there are {', '.join(ORDERS)}")
    return sys.byteorder if name == "native" else "big" if name == "big" else "little"


def convert(file: GGUFFile, byte_order: ByteOrder, output: str | os.PathLike[str]) -> Iterator[int]:
    """Write the file in that byte order, as GGUF version 3; yields the bytes of tensors written so far.

    The output may be the file itself: the new one is written beside it and takes its name when it is whole. All types
    can be turned; only nested arrays of metadata whose inner types differ cannot, and raise GGUFError.
    """
    n_written = 0
    with GGUFWriter(output, byte_order=byte_order) as writer:
        writer.copy_metadata(file.metadata)
        for tensor in file.tensors:
            writer.declare_tensor(tensor.name, tensor.shape, tensor.type)
        for tensor in file.tensors:
            writer.write_tensor(tensor.name, tensor)
            n_written += tensor.n_bytes
            yield n_written
