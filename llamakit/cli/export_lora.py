"""`llamakit export-lora`: LoRA adapters merged into a model's weights."""

from __future__ import annotations

import os
from typing import Annotated

from llamakit.cli.console import log, progress
from llamakit.cli.options import shared as o
from llamakit.cli.options.adapters import listed, scaled
from llamakit.cli.options.shared import option
from llamakit.cli.parsing.reader import InvalidArgument

TYPES = ("f16", "base")


def export_lora(
    model: Annotated[str | None, option("-m", "--model", env="MODEL", help="GGUF file of the base model.")] = None,
    lora: Annotated[list[str], option("--lora", help="LoRA adapter (GGUF); repeat or comma list.")] = [],
    lora_scaled: Annotated[
        list[str], option("--lora-scaled", help="The same with a scale, FILE:SCALE; repeat or comma list.")
    ] = [],
    outfile: Annotated[
        str, option("-o", "--outfile", "--output", "--output-file", help="File to write.")
    ] = "ggml-lora-merged-f16.gguf",
    outtype: Annotated[
        str, option("--outtype", help="Of the matrices that change: f16, or base: the types they had.")
    ] = "f16",
    threads: o.Threads = -1,
    arch_file: o.ArchFile = [],
    verbose: o.Verbose = False,
) -> None:
    """Merge adapters into a model: a file that needs no --lora any more."""
    o.add_arch_files(arch_file)
    if model is None:
        raise InvalidArgument("-m names the base model")
    files = [(path, 1.0) for path in listed(lora)] + list(scaled("--lora-scaled", lora_scaled))
    if not files:
        raise InvalidArgument("--lora or --lora-scaled names the adapters to merge")
    if outtype not in TYPES:
        raise InvalidArgument(f"--outtype {outtype}: it can be {' or '.join(TYPES)}")

    from llamakit.core.engine.adapters import load_adapter
    from llamakit.core.gguf.reader import GGUFReader
    from llamakit.tools.export_lora import merge

    adapters = [(load_adapter(path), scale) for path, scale in files]
    n_merged = n_done = 0
    with GGUFReader(model) as reader, progress() as report:
        total = sum(tensor.n_bytes for tensor in reader.tensors)
        n_threads = threads if threads > 0 else None
        for step in merge(reader, adapters, outfile, keeps_types=outtype == "base", n_threads=n_threads):
            n_merged, n_done = n_merged + bool(step.n_merged), n_done + step.tensor.n_bytes
            if verbose and step.n_merged:
                log(f"{step.tensor.name}: {step.tensor.type.name} -> {step.type.name}, {step.n_merged} merged")
            if report:
                report("merging", n_done, total)
        n_copied = len(reader.tensors) - n_merged
    print(f"{outfile}: {n_merged} tensors merged, {n_copied} copied, {os.path.getsize(outfile) / 1e6:.1f} MB")
