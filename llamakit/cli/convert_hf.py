"""`llamakit convert-hf DIR`: a Hugging Face folder written as a GGUF file."""

from __future__ import annotations

import json
import logging
import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llamakit.cli.console import log, progress
from llamakit.cli.gguf_split import parse_size
from llamakit.cli.options import ArchFile, Verbose, add_arch_files
from llamakit.cli.parsing import InvalidArgument, warn

if TYPE_CHECKING:
    from llamakit.convert.plan import Chooser, OutputType, Plan, Source

Panel = "Output"


def convert_hf(
    model: Annotated[
        str, typer.Argument(metavar="DIR_OR_REPO", help="Folder with config.json, or ORG/NAME on the hub.")
    ],
    outfile: Annotated[
        str | None,
        typer.Option(
            "--outfile",
            metavar="F",
            help="File to write; {ftype} in it becomes the type.",
            show_default="in DIR, by its name",
        ),
    ] = None,
    outtype: Annotated[
        str,
        typer.Option(
            "--outtype",
            metavar="TYPE",
            help="f32, f16, bf16, q8_0, tq1_0, tq2_0, auto (16 bits), or any type of `quantize`: Q4_K_M, ...",
        ),
    ] = "auto",
    vocab_only: Annotated[
        bool, typer.Option("--vocab-only", help="Write metadata and vocabulary, no tensors.")
    ] = False,
    split_max_size: Annotated[
        str | None, typer.Option("--split-max-size", metavar="N(M|G)", help="Longest shard, in 10^6 or 10^9 bytes.")
    ] = None,
    split_max_tensors: Annotated[
        int | None, typer.Option("--split-max-tensors", metavar="N", help="Most tensors in a shard.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run: as JSON.")] = False,
    model_name: Annotated[str | None, typer.Option("--model-name", metavar="NAME", help="general.name.")] = None,
    metadata: Annotated[
        str | None,
        typer.Option("--metadata", metavar="F", help="JSON file of general.* keys that replace what is found."),
    ] = None,
    bigendian: Annotated[
        bool, typer.Option("--bigendian", help="Write for machines with the other byte order.")
    ] = False,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Read tensors of pytorch_model*.bin; nothing in it is run.")
    ] = False,
    allow_non_finite: Annotated[
        bool, typer.Option("--allow-non-finite", help="Write tensors that hold NaN or infinity.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option("--threads", "-t", min=1, help="Threads that convert.", show_default="all cores")
    ] = None,
    no_lazy: Annotated[bool, typer.Option("--no-lazy", help="No effect: one tensor is in memory at a time.")] = False,
    use_temp_file: Annotated[bool, typer.Option("--use-temp-file", help="No effect, as above.")] = False,
    arch_file: ArchFile = [],
    verbose: Verbose = False,
) -> None:
    """Write a Hugging Face checkpoint as a GGUF file; neither PyTorch nor transformers is needed."""
    from llamakit.convert import plan as planning

    logging.getLogger("llamakit").addHandler(_Warnings())
    add_arch_files(arch_file)
    overrides = _read_metadata(metadata)
    source = planning.Source.open(_folder(model), allow_pickle, has_weights=not vocab_only)
    keys = planning.metadata(source, model_name, overrides)
    output_type, choose = _output_type(outtype, source, keys)
    plan = planning.make_plan(source, keys, output_type, choose)
    output = _output(outfile, plan)
    _refuse_inputs(source, output)
    if dry_run:
        show(plan, output, as_json)
        return
    if plan.unknown:
        for name, nearest in unknown(plan):
            warn(f"no place for tensor {name}{nearest}")
        raise InvalidArgument(f"{len(plan.unknown)} tensors have no place in {source.family.arch}; --dry-run shows all")
    _write(
        plan,
        output,
        max_bytes=None if split_max_size is None else parse_size(split_max_size),
        max_tensors=split_max_tensors,
        byte_order="big" if bigendian else "little",
        allow_non_finite=allow_non_finite,
        n_threads=threads,
    )
    if verbose:
        for line in lines(plan):
            log(line)


class _Warnings(logging.Handler):
    """Warnings of the library as lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            warn(record.getMessage())


def _folder(model: str) -> Path:
    """The folder itself, or the one a repository was fetched into."""
    path = Path(model)
    if path.exists():
        if not path.is_dir():
            raise InvalidArgument(f"{model} is a file; name the folder with config.json and the tensors")
        return path
    if model.count("/") != 1 or model.startswith((".", "/")):
        raise InvalidArgument(f"{model}: no such folder")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise InvalidArgument(
            f"{model}: no such folder; to fetch it from the hub: pip install 'llamakit[hub]'"
        ) from None
    wanted = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "README.md"]
    return Path(snapshot_download(model, allow_patterns=wanted))


def _read_metadata(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    from llamakit.convert.checkpoint import read_json

    return read_json(Path(path))


def _output_type(word: str, source: Source, keys: dict[str, Any]) -> tuple[OutputType, Chooser | None]:
    """The type of the file, and for those of `quantize` what says the type of each tensor."""
    from llamakit.convert.plan import OUTPUT_TYPES, OutputType
    from llamakit.tools.quantize.file_types import parse_file_type

    if word.lower() == "auto":
        return source.auto_type(), None
    if word.lower() in OUTPUT_TYPES:
        return OUTPUT_TYPES[word.lower()], None
    file_type = parse_file_type(word)
    if file_type.name == "COPY":
        raise InvalidArgument("--outtype COPY: a checkpoint has no GGUF types; auto keeps 16 bits")
    return OutputType(file_type.name, file_type.number, file_type.default), _recipe(file_type.name, source, keys)


def _recipe(name: str, source: Source, keys: dict[str, Any]) -> Chooser:
    """The types that `quantize` would give the tensors of the 16-bit file."""
    from llamakit.convert.plan import plain_values
    from llamakit.core.gguf.types import GGMLType
    from llamakit.tools.quantize.file_types import parse_file_type
    from llamakit.tools.quantize.importance import needs_imatrix
    from llamakit.tools.quantize.mix import Mix, facts_of, fitting
    from llamakit.tools.quantize.roles import is_quantizable, layer_of

    file_type, half = parse_file_type(name), source.auto_type().default
    weights, arch = source.mapped.weights, source.family.gguf_arch

    def place(tensor: str) -> tuple[int, bytes]:
        layer = layer_of(tensor)
        return (-1 if layer is None else layer, tensor.encode())

    ordered = sorted(weights, key=place)
    mix = Mix(file_type, facts_of(plain_values(keys), str(source.folder)), ordered)
    types: dict[str, GGMLType] = {}
    for tensor in ordered:
        shape = weights[tensor].shape[::-1]
        if not is_quantizable(tensor, shape, arch):
            continue
        types[tensor] = fitting(mix.next_type(tensor, shape), shape[0], tensor)
        if needs_imatrix(tensor, types[tensor], file_type):
            raise InvalidArgument(
                f"--outtype {name} needs an importance matrix for {tensor}: convert with auto, then `llamakit quantize`"
            )
    return lambda tensor, shape: types.get(tensor, half)


def _output(outfile: str | None, plan: Plan) -> Path:
    if outfile is None:
        return plan.folder / plan.file_name()
    name = plan.output_type.name
    for word in ("{ftype}", "{outtype}"):
        outfile = outfile.replace(word, name.lower()).replace(word.upper(), name)
    return Path(outfile) / plan.file_name() if os.path.isdir(outfile) else Path(outfile)


def _refuse_inputs(source: Source, output: Path) -> None:
    """Never write over a file of the checkpoint, under any of its names."""
    inputs = {tensor.source.path for tensor in source.checkpoint.tensors.values()}
    inputs |= {path for path in source.folder.iterdir() if path.suffix in (".json", ".model", ".txt", ".jinja")}
    if output.exists() and any(path.exists() and output.samefile(path) for path in inputs):
        raise InvalidArgument(f"{output} is a file of the checkpoint; choose another --outfile")


def _write(plan: Plan, output: Path, **settings: Any) -> None:
    from llamakit.convert.run import Options, carry_out, load_kernels

    options = Options(**settings)
    load_kernels(plan)
    done = 0
    with progress() as report, closing(carry_out(plan, output, options)) as steps:
        for step in steps:
            done += step.n_bytes
            if report:
                report("converting", done, plan.n_bytes)
    for name, n in options.non_finite.items():
        warn(f"tensor {name} holds {n} values that are NaN or infinite")
    log(f"{output}: {plan.output_type.name}, {len(plan.weights)} tensors, {plan.n_bytes / 1e6:.1f} MB")


def show(plan: Plan, output: Path, as_json: bool) -> None:
    """The mapping of all tensors, and what has no place in it."""
    if as_json:
        tensors = [
            {
                "name": w.name, "shape": list(w.shape), "type": w.type.name,
                "from": list(w.weight.sources), "steps": list(w.weight.steps),
            }
            for w in plan.weights
        ]  # fmt: skip
        found = {"output": str(output), "type": plan.output_type.name, "n_bytes": plan.n_bytes, "tensors": tensors}
        print(json.dumps({**found, "left_out": list(plan.left_out), "unknown": dict(unknown(plan))}, indent=1))
        return
    for key, value in plan.keys.items():
        is_long = not isinstance(value, (int, float, str)) and len(value) > 8
        print(f"{key} = {f'{len(value)} items' if is_long else str(value)[:100]!r}")
    for line in lines(plan):
        print(line)
    for name in plan.left_out:
        print(f"left out: {name}")
    for name, nearest in unknown(plan):
        print(f"no place: {name}{nearest}")
    print(f"{output}: {plan.output_type.name}, {len(plan.weights)} tensors, {plan.n_bytes / 1e6:.1f} MB")


def lines(plan: Plan) -> list[str]:
    """A line a tensor: its name, shape and type, what it is made of and how."""
    width = max((len(planned.name) for planned in plan.weights), default=0)
    found = []
    for planned in plan.weights:
        sources = planned.weight.sources
        origin = (
            sources[0]
            if len(sources) == 1
            else f"{sources[0]} and {len(sources) - 1} more"
            if sources
            else "the config"
        )
        steps = f" ({', '.join(planned.weight.steps)})" if planned.weight.steps else ""
        shape = ", ".join(map(str, planned.shape))
        found.append(f"{planned.name:<{width}} {planned.type.name:<5} [{shape}] <- {origin}{steps}")
    return found


def unknown(plan: Plan) -> list[tuple[str, str]]:
    """Tensors without a place, each with the nearest of those that have one."""
    import difflib

    known = [source for planned in plan.weights for source in planned.weight.sources[:1]]
    found = []
    for name in plan.unknown:
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        found.append((name, f"; the nearest known is {nearest[0]}" if nearest else ""))
    return found
