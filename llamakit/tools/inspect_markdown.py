"""What a GGUF file holds, as Markdown: the sections of `gguf-dump --markdown`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from llamakit.core.engine.describe import describe_size
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.tensor import Tensor
from llamakit.core.gguf.values import Value
from llamakit.errors import printable
from llamakit.tools.inspect import as_json

LONGEST_TEXT, LONGEST_ITEM = 60, 30  # characters of a string, and of one in an array
FIRST_ITEMS = 6


def as_markdown(reader: GGUFReader, *, tensors: bool = True) -> Iterator[str]:
    """The lines of the document."""
    yield f"# {cell(str(reader.path))} - GGUF Internal File Dump"
    yield ""
    yield f"- Endian: {reader.byte_order.upper()} endian"
    yield ""
    yield "## Key Value Metadata Store"
    yield ""
    rows = list(metadata_rows(reader))
    yield f"There are {len(rows)} key-value pairs in this file"
    yield ""
    yield from table((">POS", "TYPE", ">Count", "Key", "Value"), rows)
    if tensors:
        yield ""
        yield from overview(reader)


def metadata_rows(reader: GGUFReader) -> Iterator[tuple[str, ...]]:
    for key, entry in as_json(reader, tensors=False)["metadata"].items():
        depth = len(entry.get("array_types", []))
        kind = "[" * depth + entry["array_types"][-1] + "]" * depth if depth else entry["type"]
        value = entry["value"] if "value" in entry else reader.metadata[key]
        n_values = len(value) if isinstance(value, list) else 1
        yield str(entry["index"] + 1), kind, str(n_values), cell(key), shown(value, LONGEST_TEXT)


def shown(value: Value, longest: int) -> str:
    """A value in one cell: strings as code, cut in the middle, of arrays the first items."""
    if isinstance(value, list):
        items = [shown(item, LONGEST_ITEM) for item in value[:FIRST_ITEMS]]
        return "[ " + ", ".join([*items, "..."] if len(value) > FIRST_ITEMS else items) + " ]"
    if not isinstance(value, str):
        return str(value)
    if len(value) > longest:
        return f"{code(value[: longest // 2])}...{code(value[-longest // 2 :])}"
    return code(value)


def code(text: str) -> str:
    """A code span, fenced by more backticks than the text has in a row."""
    text = cell(text)
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def cell(text: str) -> str:
    """Text that stays in its cell."""
    return printable(text).replace("|", "\\|")


def overview(reader: GGUFReader) -> Iterator[str]:
    """The tensors, a table for each layer and one for what belongs to none."""
    n_values = sum(tensor.n_values for tensor in reader.tensors)
    n_bytes = sum(tensor.n_bytes for tensor in reader.tensors)
    index = {tensor.name: i for i, tensor in enumerate(reader.tensors)}
    yield f"## Tensors Overview {describe_size(n_values)} Elements"
    yield ""
    yield f"Total number of elements in all tensors: {n_values} Elements"
    yield ""
    groups: dict[str, list[Tensor]] = {}
    for tensor in reader.tensors:
        groups.setdefault(group_of(tensor.name), []).append(tensor)
    for group, members in groups.items():
        size = describe_size(sum(tensor.n_values for tensor in members))
        yield f"- [{title(group)} Tensor Group - {size} Elements](#{anchor(group)})"
    for group, members in groups.items():
        n = sum(tensor.n_values for tensor in members)
        yield ""
        yield f'### <a name="{anchor(group)}">{title(group)} Tensor Group : {describe_size(n)} Elements</a>'
        yield ""
        columns = (">T_ID", "Tensor Name", ">Elements", "Shape", "Type", ">BPW", ">Data Offset (B)", ">Data Size (B)")
        yield from table(columns, (tensor_row(index[tensor.name], tensor) for tensor in members))
        yield ""
        yield f"- Total elements in {group}: {n}"
        yield f"- Percentage of total elements: {100 * n / n_values:.2f}%"
        yield f"- Bits per Weight (BPW) for {group}: {bpw(sum(tensor.n_bytes for tensor in members), n)} bits"
    yield ""
    yield f"Total BPW for {cell(reader.path.name)}: {bpw(n_bytes, n_values)} bits"


def tensor_row(index: int, tensor: Tensor) -> tuple[str, ...]:
    shape = " x ".join(map(str, tensor.shape))
    size = bpw(tensor.n_bytes, tensor.n_values)
    place = f"{tensor.offset:#x}", f"{tensor.n_bytes:#x}"
    return str(index), cell(tensor.name), str(tensor.n_values), shape, tensor.type.name, size, *place


def group_of(name: str) -> str:
    """`blk.3`, `enc.blk.3`, or `base` for what lies in no layer."""
    match = re.match(r"(?:(?:enc|dec)\.)?blk\.\d+", name)
    return match[0] if match else "base"


def title(group: str) -> str:
    words = {"blk": "Block", "enc": "Encoder", "dec": "Decoder"}
    return " ".join(words.get(word, word.title()) for word in group.split("."))


def anchor(group: str) -> str:
    return group.replace(".", "_")


def bpw(n_bytes: int, n_values: int) -> str:
    return f"{8 * n_bytes / n_values:.4f}" if n_values else "undefined"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A Markdown table, aligned as text too; `>` before a column's name puts its cells to the right."""
    rows = list(rows)
    names = [column.removeprefix(">") for column in columns]
    is_right = [column.startswith(">") for column in columns]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = (c.rjust(w) if right else c.ljust(w) for c, w, right in zip(cells, widths, is_right, strict=True))
        return "| " + " | ".join(padded) + " |"

    yield line(names)
    rules = ("-" * (w + 1) + ":" if right else ":" + "-" * (w + 1) for w, right in zip(widths, is_right, strict=True))
    yield "|" + "|".join(rules) + "|"
    yield from map(line, rows)
