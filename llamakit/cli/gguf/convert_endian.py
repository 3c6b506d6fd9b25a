"""`llamakit gguf convert-endian FILE ORDER`: the other byte order, in place or in a copy."""

from __future__ import annotations

from typing import Annotated

import typer

from llamakit.cli.console import log, progress
from llamakit.cli.options.shared import Verbose


def convert_endian(
    file: Annotated[str, typer.Argument(help="GGUF file; of a split, each shard is converted by itself.")],
    order: Annotated[str, typer.Argument(help="Byte order wanted: big, little or native.")],
    output: Annotated[str | None, typer.Option("-o", "--output", help="Write a copy instead.")] = None,
    force: Annotated[bool, typer.Option("-y", "--force", "--yes", help="Write; else only say what would be.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing, whatever else is said.")] = False,
    verbose: Verbose = False,
) -> None:
    """Turn a GGUF file round to another byte order. Nothing is written without --force.

    The new file is written beside the old one and takes its name when it is whole: there must be room for both.
    """
    import sys

    from llamakit.core.gguf.file import GGUFFile
    from llamakit.tools.gguf_endian import convert, parse_order

    wanted = parse_order(order)
    with GGUFFile(file, use_mmap=False) as opened:
        print(f"{file} is {opened.byte_order}-endian, this machine is {sys.byteorder}-endian")
        if opened.byte_order == wanted and output is None:
            print("nothing to do")
            return
        total = sum(tensor.n_bytes for tensor in opened.tensors)
        target = output or file
        print(f"{target}: {len(opened.tensors)} tensors, {total / 1e6:,.1f} MB, to be {wanted}-endian")
        if not force or dry_run:
            log("dry run: nothing is written without --force")
            return
        with progress() as report:
            for n_written in convert(opened, wanted, target):
                if report:
                    report("converting", n_written, total)
