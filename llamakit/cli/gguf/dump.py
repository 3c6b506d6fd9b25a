"""`llamakit gguf dump FILE`: a file's metadata and tensors as tables, JSON or Markdown."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from llamakit.cli.options.shared import Verbose


def dump(
    file: Annotated[str, typer.Argument(help="GGUF file; any shard of a split shows the whole.")],
    tensors: Annotated[bool, typer.Option("--tensors/--no-tensors", help="List the tensors too.")] = True,
    json: Annotated[bool, typer.Option("--json", help="JSON with gguf-dump's keys instead of tables.")] = False,
    json_array: Annotated[bool, typer.Option("--json-array", help="With --json: array values in full.")] = False,
    data_offset: Annotated[
        bool, typer.Option("--data-offset", help="Only the byte at which tensor data begins.")
    ] = False,
    data_alignment: Annotated[
        bool, typer.Option("--data-alignment", help="Only the alignment of tensor data.")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="A Markdown document instead of tables.")] = False,
    verbose: Verbose = False,
) -> None:
    """Show what a GGUF file holds."""
    from llamakit.core.gguf.reader import GGUFReader
    from llamakit.tools import inspect

    with GGUFReader(file) as reader:
        if json:
            from json import dump as write_json

            write_json(inspect.as_json(reader, tensors=tensors, arrays=json_array), sys.stdout)
            print()
            return
        if markdown:
            from llamakit.tools.inspect_markdown import as_markdown

            for line in as_markdown(reader, tensors=tensors):
                print(line)
            return
        if data_offset or data_alignment:
            print(reader.data_offset if data_offset else reader.alignment)
            return
        size = sum(tensor.n_bytes for tensor in reader.tensors)
        print(
            f"{reader.path}: GGUF version {reader.version}, {reader.byte_order}-endian, {len(reader.metadata)} keys, "
            f"{len(reader.tensors)} tensors of {size / 1e6:,.1f} MB"
        )
        show_table(("type", "key", "value"), inspect.metadata_rows(reader), right=())
        if tensors:
            show_table(("tensor", "shape", "type", "bytes"), inspect.tensor_rows(reader), right=("shape", "bytes"))


def show_table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], right: tuple[str, ...]) -> None:
    """A rich table; in a pipe it takes the width it needs, so that no cell is cut."""
    from rich.console import Console
    from rich.table import Table

    from llamakit.cli.console import is_terminal

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    widest = max(len(cell) for row in [columns, *rows] for cell in row)
    width = None if is_terminal(sys.stdout) else widest * len(columns)
    console = Console(markup=False, emoji=False, highlight=False, width=width)
    with console.capture() as shown:
        console.print(table)
    print("\n".join(line.rstrip() for line in shown.get().splitlines()))
