"""What a GGUF file holds, as plain data: the library side of `llamakit gguf dump`."""

from __future__ import annotations

from typing import Any

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.values import Value
from llamakit.errors import printable

LONGEST_TEXT = 60  # characters of a string shown on one line
FIRST_ITEMS = 6  # items of an array


def as_json(reader: GGUFReader, *, tensors: bool = True, arrays: bool = False) -> dict[str, Any]:
    """The file's contents as gguf-dump writes them; array values only where `arrays` asks for them.

    Its metadata begins with the three numbers of the fixed header. Offsets count from the start of the file to the
    entry in the header, shapes have the fastest dimension first. Arrays of arrays stay nested, which gguf-dump
    flattens. Of a split the metadata is the first shard's, the tensors are those of all.
    """
    metadata = _fixed_header(reader)
    for key in reader.metadata:
        field = reader.metadata.field(key)
        entry: dict[str, Any] = {"index": len(metadata), "type": field.types[0].name, "offset": field.offset}
        if len(field.types) > 1:
            entry["array_types"] = [type_.name for type_ in field.types[1:]]
        if len(field.types) == 1 or arrays:
            entry["value"] = reader.metadata[key]
        metadata[key] = entry
    listed = reader.tensors if tensors else []
    return {
        "filename": str(reader.path),
        "endian": reader.byte_order.upper(),
        "metadata": metadata,
        "tensors": {
            tensor.name: {
                "index": index,
                "shape": list(tensor.shape),
                "type": tensor.type.name,
                "offset": tensor.info_offset,
            }
            for index, tensor in enumerate(listed)
        },
    }


def _fixed_header(reader: GGUFReader) -> dict[str, Any]:
    """Version and counts under the names gguf-dump gives them."""
    width, count_type = (4, "UINT32") if reader.version == 1 else (8, "UINT64")
    numbers = (
        ("GGUF.version", "UINT32", 4, reader.version),
        ("GGUF.tensor_count", count_type, 8, len(reader.files[0].tensors)),
        ("GGUF.kv_count", count_type, 8 + width, len(reader.metadata)),
    )
    return {
        name: {"index": index, "type": type_, "offset": offset, "value": value}
        for index, (name, type_, offset, value) in enumerate(numbers)
    }


def metadata_rows(reader: GGUFReader) -> list[tuple[str, str, str]]:
    """(type, key, value) of each entry, the value cut to a line."""
    rows = []
    for key in reader.metadata:
        field = reader.metadata.field(key)
        kind = field.types[-1].name.lower()
        if len(field.types) > 1:
            kind = "[" * (len(field.types) - 1) + kind + "]" * (len(field.types) - 1)
        rows.append((kind, key, brief(reader.metadata[key])))
    return rows


def brief(value: Value) -> str:
    """A value on one line, control characters spelled out."""
    if isinstance(value, list):
        more = f", ... {len(value)} in all" if len(value) > FIRST_ITEMS else ""
        return "[" + ", ".join(brief(item) for item in value[:FIRST_ITEMS]) + more + "]"
    if isinstance(value, str):
        text = value if len(value) <= LONGEST_TEXT else value[: LONGEST_TEXT - 3] + "..."
        return printable(text)
    return str(value).lower() if isinstance(value, bool) else str(value)


def tensor_rows(reader: GGUFReader) -> list[tuple[str, str, str, str]]:
    """(name, shape, type, bytes) of each tensor; the shape as GGUF has it, fastest dimension first."""
    return [
        (tensor.name, " x ".join(map(str, tensor.shape)), tensor.type.name, f"{tensor.n_bytes:,}")
        for tensor in reader.tensors
    ]
