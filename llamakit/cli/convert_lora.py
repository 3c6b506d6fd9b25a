"""`llamakit convert-lora DIR`: a PEFT adapter written as a GGUF file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from llamakit.cli.console import log
from llamakit.cli.options.shared import ArchFile, Verbose, add_arch_files
from llamakit.cli.parsing.reader import InvalidArgument, warn

TYPES = ("f32", "f16", "bf16", "q8_0", "auto")


def convert_lora(
    adapter: Annotated[
        str, typer.Argument(metavar="DIR", help="Folder with adapter_config.json and adapter_model.safetensors.")
    ],
    base: Annotated[
        str | None,
        typer.Option("--base", metavar="DIR|GGUF", help="Base model: its folder (config.json is enough), or a GGUF."),
    ] = None,
    base_model_id: Annotated[
        str | None,
        typer.Option(
            "--base-model-id",
            metavar="ORG/NAME",
            help="Base model on the hub; its config.json is fetched.",
            show_default="as the adapter says",
        ),
    ] = None,
    outfile: Annotated[
        str | None,
        typer.Option("--outfile", metavar="F", help="File to write.", show_default="in DIR, DIR's name-TYPE.gguf"),
    ] = None,
    outtype: Annotated[
        str, typer.Option("--outtype", metavar="TYPE", help="f32, f16, bf16, q8_0, or auto: as in DIR.")
    ] = "f32",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")] = False,
    bigendian: Annotated[
        bool, typer.Option("--bigendian", help="Write for machines with the other byte order.")
    ] = False,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Read tensors of adapter_model.bin; nothing in it is run.")
    ] = False,
    no_lazy: Annotated[bool, typer.Option("--no-lazy", help="No effect: one tensor is in memory at a time.")] = False,
    arch_file: ArchFile = [],
    verbose: Verbose = False,
) -> None:
    """Write a LoRA adapter that PEFT has trained as a GGUF file, for --lora and export-lora."""
    from llamakit.convert.lora import LoraConfig, first_dtype, plan_lora
    from llamakit.convert.plan import OUTPUT_TYPES
    from llamakit.convert.run import Options, carry_out, load_kernels

    add_arch_files(arch_file)
    folder = Path(adapter)
    if not folder.is_dir():
        raise InvalidArgument(f"{adapter}: no such folder")
    word = outtype.lower()
    if word not in TYPES:
        raise InvalidArgument(f"--outtype {outtype}: it can be {', '.join(TYPES)}")
    name = base_model_id or LoraConfig.read(folder).base_name
    model = Path(base) if base else base_of(name)
    if word == "auto":
        word = first_dtype(folder, allow_pickle)
    plan = plan_lora(folder, model, OUTPUT_TYPES[word], allow_pickle=allow_pickle)
    for tensor in plan.left_out:
        warn(f"{tensor} is left out: adapters in GGUF change matrices only")
    if dry_run or verbose:
        for planned in plan.weights:
            log(f"{planned.name}: {list(planned.shape)} {planned.type.name} <- {', '.join(planned.weight.sources)}")
    if dry_run:
        return
    output = Path(outfile) if outfile else folder / f"{folder.resolve().name}-{plan.output_type.name}.gguf"
    load_kernels(plan)
    for _ in carry_out(plan, output, Options(byte_order="big" if bigendian else "little")):
        pass
    print(f"{output}: {len(plan.weights) // 2} tensors, {os.path.getsize(output) / 1e6:.1f} MB")


def base_of(name: str) -> Path:
    """The folder that a name stands for: itself, or where the hub's config.json was put."""
    if not name:
        raise InvalidArgument("the adapter does not say which model it is for: name its folder or GGUF with --base")
    if Path(name, "config.json").is_file():
        return Path(name)
    hint = "--base names the base model's folder or its GGUF"
    from llamakit.tools.download import DownloadError
    from llamakit.tools.pull_checkpoint import Wanted, fetch_checkpoint, parse_checkpoint

    repo = parse_checkpoint(name)
    if repo is None:
        raise InvalidArgument(f"the adapter is for {name}, which is no folder here: {hint}")
    try:
        return fetch_checkpoint(repo, Wanted(config_only=True))
    except DownloadError as error:
        raise InvalidArgument(f"config.json of {name} cannot be fetched ({error}): {hint}") from None
