"""A model gone through from end to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from llamakit.core.gguf.file import GGUFFile
from llamakit.core.gguf.metadata import Metadata
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.source import Source
from llamakit.core.gguf.types import GGMLType
from llamakit.core.gguf.values import Value
from llamakit.core.models.registry import lookup
from llamakit.errors import GGUFError, ModelError, printable
from llamakit.tools.gguf_verify.blocks import check_blocks
from llamakit.tools.gguf_verify.file import check_file
from llamakit.tools.gguf_verify.finding import Finding, Level
from llamakit.tools.gguf_verify.general import check_general
from llamakit.tools.gguf_verify.templates import check_templates
from llamakit.tools.gguf_verify.vocabulary import check_vocabulary


def verify(path: str | Path, report: Callable[[int, int], None] | None = None) -> Iterator[Finding]:
    """Yield what is wrong with a file, or with all shards of a split; `report` is told (bytes done, bytes in all).

    Reads every block once, without mapping the file: one that is cut short meanwhile is an error, not a crash. A
    shard that is missing, or does not belong, is a finding, and the file named is still gone through by itself.
    Raises GGUFError only for a path that cannot be opened.
    """
    path = Path(path)
    Source(path).close()
    try:
        with GGUFReader(path, use_mmap=False) as reader:
            yield from check_model(reader, report)
            return
    except GGUFError as error:
        yield of_error(error)
        if error.path == path and error.offset is not None:
            return
    try:
        with GGUFFile(path, use_mmap=False) as file:
            yield from check_file(file)
            yield from check_tensors([file], report)
    except GGUFError:
        return  # told above


def of_error(error: GGUFError) -> Finding:
    """What the reader says, with file and byte apart."""
    place = f"{error.path} at byte {error.offset}: " if error.offset is not None else f"{error.path}: "
    return Finding(Level.ERROR, error.path, str(error).removeprefix(printable(place)), offset=error.offset)


def check_model(reader: GGUFReader, report: Callable[[int, int], None] | None = None) -> Iterator[Finding]:
    """What is wrong with an open model."""
    n_rows = None
    if "token_embd.weight" in reader:
        n_rows = reader.tensor("token_embd.weight").shape[-1]
    yield from check_metadata(reader.path, reader.metadata, {tensor.type for tensor in reader.tensors}, n_rows)
    yield from check_architecture(reader, reader.metadata)
    for file in reader.files:
        yield from check_file(file)
    yield from check_tensors(reader.files, report)


def check_metadata(
    path: Path, metadata: Mapping[str, Value], types: set[GGMLType], n_rows: int | None
) -> Iterator[Finding]:
    """What is wrong with the metadata alone, as the file has it or as it is to be."""
    yield from check_general(path, metadata, types)
    yield from check_vocabulary(path, metadata, n_rows)
    yield from check_templates(path, metadata)


def check_architecture(reader: GGUFReader, metadata: Mapping[str, Value]) -> Iterator[Finding]:
    """Whether numbers and tensors are those of the architecture, where it is one known here."""
    arch = metadata.get("general.architecture")
    if metadata.get("general.type", "model") != "model" or not isinstance(arch, str) or not reader.tensors:
        return  # an adapter, a projector, or a vocabulary alone
    architecture = lookup(arch)
    if architecture is None:
        message = f"{arch!r:.80} is not known here: shapes and hyper-parameters were not looked at"
        yield Finding(Level.NOTE, reader.path, message, key="general.architecture")
        return
    try:
        meta = Metadata.of_model(metadata, reader.path)
        decoder = architecture(meta, reader)
        decoder.begin(decoder.hp.n_ctx_train)  # reads what the rotation of positions depends on
    except ModelError as error:
        yield Finding(Level.ERROR, reader.path, str(error).removeprefix(f"{reader.path}: "))


def check_tensors(files: list[GGUFFile], report: Callable[[int, int], None] | None) -> Iterator[Finding]:
    tensors = [tensor for file in files for tensor in file.tensors]
    total, done = sum(tensor.n_bytes for tensor in tensors), 0

    def advance(n_bytes: int) -> None:
        nonlocal done
        done += n_bytes
        if report:
            report(done, total)

    for tensor in tensors:
        yield from check_blocks(tensor, advance)
