"""`llamakit convert-hf DIR`: a Hugging Face folder written as a GGUF file."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llamakit.cli.console import log, progress
from llamakit.cli.convert_hf_output import lines, show, unknown
from llamakit.cli.convert_hf_types import read_output_type
from llamakit.cli.options.shared import ArchFile, Verbose, add_arch_files
from llamakit.cli.parsing.reader import InvalidArgument, warn

if TYPE_CHECKING:
    from llamakit.convert.plan import Plan, Source
    from llamakit.tools.model_source import HubModel

REFUSED = {
    "--mmproj": "models of images are not converted: no command here reads them",
    "--mtp": "heads that draft are not written as a file of their own: no command here reads one",
    "--dspark": "draft models of DeepSeek are not converted: no command here reads them",
    "--fuse-gate-up-exps": "gates and ups of experts stay apart, as the engine reads them",
    "--fuse-qkv": "queries, keys and values stay as the architecture has them, as the engine reads them",
    "--target-model-dir": "draft models, which need another model's settings, are not converted",
}


def convert_hf(
    model: Annotated[
        str | None, typer.Argument(metavar="DIR_OR_REPO", help="Folder with config.json, or ORG/NAME on the hub.")
    ] = None,
    outfile: Annotated[
        str | None,
        typer.Option(
            "--outfile",
            metavar="F",
            help="File to write; {ftype} in it becomes the type.",
            show_default="in DIR, by its name; ./ORG-NAME-TYPE.gguf of a repository",
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
    fp8_as_q8: Annotated[
        bool, typer.Option("--fp8-as-q8", help="Write as Q8_0 what is FP8 in the checkpoint, in place of 16 bits.")
    ] = False,
    vocab_only: Annotated[
        bool, typer.Option("--vocab-only", help="Write metadata and vocabulary, no tensors.")
    ] = False,
    split_max_size: Annotated[
        str, typer.Option("--split-max-size", metavar="N(K|M|G)", help="Longest shard; 0: one file.")
    ] = "0",
    split_max_tensors: Annotated[
        int, typer.Option("--split-max-tensors", metavar="N", help="Most tensors in a shard; 0: one file.")
    ] = 0,
    no_tensor_first_split: Annotated[
        bool, typer.Option("--no-tensor-first-split", help="The first shard holds metadata only.")
    ] = False,
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
    mistral_format: Annotated[
        bool,
        typer.Option(
            "--mistral-format", help="Read Mistral's own files: params.json, consolidated*, tekken.json or tokenizer.*."
        ),
    ] = False,
    disable_mistral_community_chat_template: Annotated[
        bool,
        typer.Option(
            "--disable-mistral-community-chat-template",
            help="No chat template where such a folder has none.",
        ),
    ] = False,
    remote: Annotated[
        bool, typer.Option("--remote", help="The model is a repository, even if there is a folder of its name.")
    ] = False,
    hf_token: Annotated[
        str | None, typer.Option("--hf-token", "-hft", help="Access token; without it, HF_TOKEN's.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Fetch nothing: what is here must do.")] = False,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Read tensors of pytorch_model*.bin; nothing in it is run.")
    ] = False,
    allow_non_finite: Annotated[
        bool, typer.Option("--allow-non-finite", help="Write tensors that hold NaN or infinity.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option("--threads", "-t", min=1, help="Threads that convert.", show_default="all cores")
    ] = None,
    print_supported_models: Annotated[
        bool, typer.Option("--print-supported-models", help="List the classes of transformers that are known, and end.")
    ] = False,
    no_lazy: Annotated[bool, typer.Option("--no-lazy", help="No effect: one tensor is in memory at a time.")] = False,
    use_temp_file: Annotated[bool, typer.Option("--use-temp-file", help="No effect, as above.")] = False,
    no_mtp: Annotated[
        bool, typer.Option("--no-mtp", "--no-nextn", help="No effect: layers that only draft are never written.")
    ] = False,
    sentence_transformers_dense_modules: Annotated[
        bool,
        typer.Option("--sentence-transformers-dense-modules", help="No effect: where there are any, they are written."),
    ] = False,
    mmproj: Annotated[bool, typer.Option("--mmproj", hidden=True)] = False,
    mtp: Annotated[bool, typer.Option("--mtp", hidden=True)] = False,
    dspark: Annotated[bool, typer.Option("--dspark", hidden=True)] = False,
    fuse_gate_up_exps: Annotated[bool, typer.Option("--fuse-gate-up-exps", hidden=True)] = False,
    fuse_qkv: Annotated[bool, typer.Option("--fuse-qkv", hidden=True)] = False,
    target_model_dir: Annotated[str | None, typer.Option("--target-model-dir", hidden=True)] = None,
    arch_file: ArchFile = [],
    verbose: Verbose = False,
) -> None:
    """Write a Hugging Face checkpoint as a GGUF file; neither PyTorch nor transformers is needed."""
    asked = {
        "--mmproj": mmproj, "--mtp": mtp, "--dspark": dspark, "--fuse-gate-up-exps": fuse_gate_up_exps,
        "--fuse-qkv": fuse_qkv, "--target-model-dir": target_model_dir,
    }  # fmt: skip
    for flag in (flag for flag, value in asked.items() if value):
        raise InvalidArgument(f"{flag}: {REFUSED[flag]}")
    add_arch_files(arch_file)
    if print_supported_models:
        _print_supported()
        return
    if split_max_tensors < 0:
        raise InvalidArgument(f"--split-max-tensors {split_max_tensors}: it is a number of tensors, or 0 for one file")
    if model is None:
        raise InvalidArgument("the argument MODEL is missing: a folder with config.json, or ORG/NAME")
    from llamakit.convert import plan as planning

    with _warnings_told():
        overrides = _read_metadata(metadata)
        wanted = {"has_weights": not vocab_only, "allow_pickle": allow_pickle, "is_mistral": mistral_format}
        repo = _repository(model, remote)
        folder = Path(model) if repo is None else _fetched(repo, wanted, hf_token, offline)
        source = planning.Source.open(folder, **wanted, has_named_template=not disable_mistral_community_chat_template)
        keys = planning.metadata(source, model_name or (repo.repo if repo and remote else None), overrides)
        output_type, choose = read_output_type(outtype, source, keys)
        plan = planning.make_plan(source, keys, output_type, choose, source.float8_weights() if fp8_as_q8 else ())
        output = _output(outfile if repo is None else outfile or f"{repo.repo.replace('/', '-')}-{{ftype}}.gguf", plan)
        _refuse_inputs(source, output)
        if dry_run:
            show(plan, output, as_json)
            return
        if plan.unknown:
            for name, nearest in unknown(plan):
                warn(f"no place for tensor {name}{nearest}")
            raise InvalidArgument(
                f"{len(plan.unknown)} tensors have no place in {source.family.arch}; --dry-run shows all"
            )
        plan.check()
        _write(
            plan,
            output,
            max_bytes=_size(split_max_size),
            max_tensors=split_max_tensors or None,
            is_first_empty=no_tensor_first_split,
            byte_order="big" if bigendian else "little",
            allow_non_finite=allow_non_finite,
            n_threads=threads,
        )
        if verbose:
            for line in lines(plan):
                log(line)


class _Warnings(logging.Handler):
    """Lines of what warns."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            warn(record.getMessage())


@contextmanager
def _warnings_told() -> Iterator[None]:
    """Of the library, on stderr."""
    logger, handler = logging.getLogger("llamakit"), _Warnings()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _print_supported() -> None:
    from llamakit.convert.registry import known

    print("Supported models:")
    for name in sorted(known(), key=str.lower):
        print(f"  - {name}")


def _repository(model: str, is_remote: bool) -> HubModel | None:
    """The repository of a hub that a name stands for; None for a folder that is here."""
    from llamakit.tools.pull_checkpoint import parse_checkpoint

    path = Path(model)
    if not is_remote and path.is_dir():
        return None
    if not is_remote and path.exists():
        raise InvalidArgument(f"{model} is a file; name the folder with config.json and the tensors")
    repo = None if model.startswith((".", "/")) else parse_checkpoint(model)
    if repo is None:
        raise InvalidArgument(f"{model}: no such folder, and no repository, which has the form ORG/NAME")
    return repo


def _fetched(repo: HubModel, wanted: dict[str, bool], token: str | None, offline: bool) -> Path:
    from llamakit.tools.pull_checkpoint import Wanted, fetch_checkpoint

    with progress() as report:
        return fetch_checkpoint(repo, Wanted(**wanted), report, offline or None, token=token)


def _size(text: str) -> int | None:
    """Bytes of --split-max-size; None for 0, which stands for one file."""
    match = re.fullmatch(r"(\d+)([KMG]?)", text)
    if match is None:
        raise InvalidArgument(f"--split-max-size: {text!r} is no size such as 300M (10^6 bytes) or 2G (10^9)")
    return int(match[1]) * {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}[match[2]] or None


def _read_metadata(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    from llamakit.convert.checkpoint import read_json

    return read_json(Path(path))


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
