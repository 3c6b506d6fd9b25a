"""`llamakit gguf-split IN OUT`: a model cut into shards, or shards merged into a model."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from llamakit.cli.console import log, progress
from llamakit.cli.options.shared import Verbose
from llamakit.cli.parsing.reader import InvalidArgument, warn

UNITS = {"M": 10**6, "G": 10**9}


def gguf_split(
    input: Annotated[str, typer.Argument(metavar="IN", help="Model to split; to merge, the first shard.")],
    output: Annotated[str, typer.Argument(metavar="OUT", help="Prefix of the shards; to merge, the file to write.")],
    split: Annotated[bool, typer.Option("--split", help="Split a model (this is what happens unless asked).")] = False,
    merge: Annotated[bool, typer.Option("--merge", help="Merge shards into one file.")] = False,
    split_max_tensors: Annotated[
        int | None, typer.Option("--split-max-tensors", help="Most tensors in a shard.", show_default="128")
    ] = None,
    split_max_size: Annotated[
        str | None, typer.Option("--split-max-size", metavar="N(M|G)", help="Longest shard, in 10^6 or 10^9 bytes.")
    ] = None,
    no_tensor_first_split: Annotated[
        bool, typer.Option("--no-tensor-first-split", help="The first shard holds metadata only.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")] = False,
    delete_splits: Annotated[
        bool, typer.Option("--delete-splits", help="After merging, delete the shards (once the model is on the disk).")
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Split a GGUF file into shards named OUT-00001-of-0000N.gguf, or merge such shards."""
    if split and merge:
        raise InvalidArgument("either --split or --merge can be given, not both")
    if split_max_tensors is not None and split_max_size is not None:
        raise InvalidArgument("either --split-max-tensors or --split-max-size can be given, not both")
    if merge:
        merge_shards(input, output, dry_run, delete_splits)
        return
    max_tensors = 128 if split_max_tensors is None else split_max_tensors
    max_bytes = None if split_max_size is None else parse_size(split_max_size)
    split_model(input, output, max_tensors, max_bytes, not no_tensor_first_split, dry_run)


def split_model(
    input: str, prefix: str, max_tensors: int, max_bytes: int | None, has_tensors_first: bool, dry_run: bool
) -> None:
    from llamakit.core.gguf.reader import GGUFReader
    from llamakit.core.gguf.split_writer import shard_paths
    from llamakit.tools import gguf_split as tool

    with GGUFReader(input) as reader:
        shards = tool.plan(reader, max_tensors=max_tensors, max_bytes=max_bytes, has_tensors_first=has_tensors_first)
        print(f"n_split: {len(shards)}")
        for number, shard in enumerate(shards, start=1):
            print(
                f"split {number:05d}: n_tensors = {len(shard.tensors)}, total_size = {shard.n_bytes // 10**6}M",
                flush=True,
            )
            if max_bytes is not None and len(shard.tensors) == 1 and shard.tensors[0].n_bytes > max_bytes:
                warn(f"tensor {shard.tensors[0].name} alone is longer than --split-max-size")
        if dry_run:
            return
        total = sum(tensor.n_bytes for tensor in reader.tensors)
        with progress() as report:
            for n_written in tool.split(reader, shards, prefix):
                if report:
                    report("splitting", n_written, total)
        for path in shard_paths(prefix, len(shards)):
            print(f"Writing file {path} ... done")
        log(f"gguf_split: {len(shards)} gguf split written with a total of {len(reader.tensors)} tensors.")


def merge_shards(input: str, output: str, dry_run: bool, delete_splits: bool) -> None:
    from llamakit.tools import gguf_split as tool

    log(f"gguf_merge: {input} -> {output}")
    with tool.open_for_merge(input) as reader:
        tool.check_merge(reader, output)
        total = sum(tensor.n_bytes for tensor in reader.tensors)
        if not dry_run:
            with progress() as report:
                for n_written in tool.merge(reader, output):
                    if report:
                        report("merging", n_written, total)
        would_be = " would be" if dry_run else ""
        log(f"gguf_merge: {output}{would_be} merged from {len(reader.files)} split with {len(reader.tensors)} tensors.")
        if delete_splits and not dry_run:
            for path in tool.delete_shards(reader):
                log(f"gguf_merge: deleted file {path}")


def parse_size(text: str) -> int:
    """`300M` -> 300,000,000, `2G` -> 2,000,000,000. Raises InvalidArgument for anything else."""
    match = re.fullmatch(r"(\d+)([MG])", text)
    if match is None or int(match[1]) == 0:
        raise InvalidArgument(f"--split-max-size: {text!r} is no size such as 300M (10^6 bytes) or 2G (10^9)")
    return int(match[1]) * UNITS[match[2]]
