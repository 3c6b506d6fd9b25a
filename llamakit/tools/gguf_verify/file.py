"""What lies between the tensors of a file, and behind them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from llamakit.core.gguf.file import GGUFFile
from llamakit.core.gguf.source import Source
from llamakit.tools.gguf_verify.finding import Finding, Level

MOST_READ = 1 << 16  # bytes of one gap; a padding is shorter


def check_file(file: GGUFFile) -> Iterator[Finding]:
    """The reader's warnings (gaps, a missing padding, bytes behind the last tensor), and padding that is not zero."""
    for warning in file.warnings:
        yield Finding(Level.WARNING, file.path, warning)
    source = Source(file.path)
    try:
        for start, end, tensor in gaps(file, source.size):
            gap = source.read(start, min(end - start, MOST_READ))
            if any(gap):
                at = start + next(i for i, byte in enumerate(gap) if byte)
                message = (
                    f"the padding before tensor {tensor} is not zero" if tensor else "the last padding is not zero"
                )
                yield Finding(Level.WARNING, Path(file.path), message, offset=at)
    finally:
        source.close()


def gaps(file: GGUFFile, size: int) -> Iterator[tuple[int, int, str]]:
    """(start, end, name of the tensor behind) of what is no data; the last one ends where the file does."""
    if not file.tensors:
        return
    in_order = sorted(file.tensors, key=lambda tensor: tensor.offset)
    end = in_order[0].offset
    for tensor in in_order:
        if end < tensor.offset:
            yield end, tensor.offset, tensor.name
        end = tensor.offset + tensor.n_bytes
    if end < size:
        yield end, min(size, end + -end % file.alignment), ""
