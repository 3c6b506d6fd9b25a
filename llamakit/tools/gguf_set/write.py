"""Changed metadata written: into the file itself where a number keeps its place, else into a copy."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from llamakit.core.gguf.file import GGUFFile
from llamakit.core.gguf.values import encode
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.errors import GGUFError, UsageError
from llamakit.tools.gguf_set.changes import Change

SECTOR = 512  # bytes that any disk writes as one


def fits_in_place(file: GGUFFile, changes: Sequence[Change]) -> bool:
    """Whether one write of a few bytes is all it takes, within one sector: the disk has the old value or the new."""
    if len(changes) != 1 or not changes[0].fits_in_place(file.metadata):
        return False
    field = file.metadata.field(changes[0].key)
    return field.value_offset // SECTOR == (field.end - 1) // SECTOR


def write_in_place(file: GGUFFile, change: Change) -> None:
    """Put a number's new bytes where its old ones are, and bring them to the disk.

    Whoever is killed or loses power meanwhile finds the old value or the new one; who has the file mapped sees it
    change. Raises GGUFError when the file is not what was opened.
    """
    assert change.types is not None
    field, raw = file.metadata.field(change.key), file.metadata.raw(change.key)
    new = encode(change.value, change.types, file.metadata.encoding)
    try:
        fd = os.open(file.path, os.O_RDWR)
        try:
            if os.pread(fd, len(raw), field.value_offset) != raw:
                raise GGUFError(file.path, field.value_offset, f"{change.key} has changed meanwhile; try again")
            os.pwrite(fd, new, field.value_offset)
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise GGUFError(file.path, None, f"cannot write: {error.strerror}") from None


def write_copy(file: GGUFFile, changes: Sequence[Change], output: str) -> Iterator[int]:
    """Write a copy with changed metadata, beside its name and renamed; yields the bytes of tensors written so far.

    Keys keep their order, new ones come last. Raises UsageError when the output is the file itself.
    """
    refuse_itself(file, output)
    by_key = {change.key: change for change in changes}
    n_written = 0
    with GGUFWriter(output, byte_order=file.byte_order) as writer:
        for key in file.metadata:
            if key in by_key:
                add(writer, by_key.pop(key))
            else:
                writer.copy_key(file.metadata, key)
        for change in by_key.values():
            add(writer, change)
        for tensor in file.tensors:
            writer.declare_tensor(tensor.name, tensor.shape, tensor.type)
        for tensor in file.tensors:
            writer.write_tensor(tensor.name, tensor)
            n_written += tensor.n_bytes
            yield n_written


def refuse_itself(file: GGUFFile, output: str) -> None:
    if os.path.exists(output) and os.path.samefile(output, file.path):
        raise UsageError(f"{output} is the file itself; choose another output and rename it afterwards")


def add(writer: GGUFWriter, change: Change) -> None:
    if change.types is not None:
        element_type = change.types[-1] if len(change.types) > 1 else None
        writer.add(change.key, change.value, change.types[0], element_type)
