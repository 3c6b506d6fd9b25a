"""The metadata of the new file: the old one's, and what was done to it. Keys as llama-quantize writes them."""

from __future__ import annotations

from collections.abc import Iterator

from llamakit.core.gguf.metadata import Metadata
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.shards import SPLIT_KEYS
from llamakit.core.gguf.types import ValueType
from llamakit.core.gguf.values import Value
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.tools.quantize.file_types import COPY
from llamakit.tools.quantize.plan import Plan

QUANTIZATION_VERSION = 2  # of the block layouts; ggml.h


def add_metadata(writer: GGUFWriter, reader: GGUFReader, plan: Plan) -> None:
    """All keys of the model but those of a split, in order; what is new or changed comes last."""
    changes = {key: (value, type_) for key, value, type_ in _changes(reader, plan)}
    writer.copy_metadata(reader.metadata, skip={*SPLIT_KEYS, *changes})
    for key, (value, type_) in changes.items():
        writer.add(key, value, type_)


def _changes(reader: GGUFReader, plan: Plan) -> Iterator[tuple[str, Value, ValueType]]:
    """Keys with new values; a later one of the same key wins."""
    options = plan.options
    yield "general.quantization_version", QUANTIZATION_VERSION, ValueType.UINT32
    if plan.file_type is not COPY:
        yield "general.file_type", plan.file_type.number, ValueType.UINT32
    for key, value in options.overrides.items():
        yield key, *_override(value)
    if options.imatrix is not None:
        yield "quantize.imatrix.file", options.imatrix_path, ValueType.STRING
        if options.imatrix.datasets:
            yield "quantize.imatrix.dataset", options.imatrix.datasets[0], ValueType.STRING
        yield "quantize.imatrix.entries_count", len(options.imatrix.entries), ValueType.UINT32
        if options.imatrix.n_chunks > 0:
            yield "quantize.imatrix.chunks_count", options.imatrix.n_chunks, ValueType.UINT32
    if options.prune_layers:
        meta = Metadata.of_model(reader.metadata, reader.path)
        n_layers = meta.int("block_count") - len(options.prune_layers)
        yield meta.full_key("block_count"), n_layers, ValueType.UINT32


def _override(value: int | float | bool | str) -> tuple[Value, ValueType]:
    if isinstance(value, bool):
        return value, ValueType.BOOL
    if isinstance(value, int):
        return abs(value), ValueType.UINT32  # llama-quantize knows no negative one
    return (value, ValueType.FLOAT32) if isinstance(value, float) else (value, ValueType.STRING)
