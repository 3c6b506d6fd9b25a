"""`llamakit quantize`: llama-quantize's command line."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llamakit.cli.console import log, progress
from llamakit.cli.options.model import is_fetched, model_path
from llamakit.cli.options.shared import (
    ArchFile,
    LogDisable,
    OverrideKv,
    Verbose,
    add_arch_files,
    option,
    parse_overrides,
)
from llamakit.cli.parsing.reader import InvalidArgument
from llamakit.cli.quantize_measured import parse_target, search, with_type
from llamakit.tools.quantize.file_types import ALIASES, COPY, FILE_TYPES, FileType, find_file_type

if TYPE_CHECKING:
    from llamakit.core.gguf.types import GGMLType
    from llamakit.tools.imatrix_file import Imatrix

MIX = "Types of tensors"
IMATRIX = "Importance"
MEASURED = "Types by measurement, in place of TYPE"
FILE = "The new file"


def mix(*names: str, help: str) -> Any:
    return option(*names, help=help, panel=MIX)


def importance(*names: str, help: str) -> Any:
    return option(*names, help=help, panel=IMATRIX)


def measured(*names: str, help: str) -> Any:
    return option(*names, help=help, panel=MEASURED)


def file(*names: str, help: str) -> Any:
    return option(*names, help=help, panel=FILE)


def quantize(
    model: Annotated[str, typer.Argument(metavar="IN.gguf", help="F16, BF16 or F32 model, or a shard of one.")],
    output: Annotated[
        str | None,
        typer.Argument(metavar="OUT.gguf", help="The new file.", show_default="ggml-model-TYPE.gguf beside IN"),
    ] = None,
    type: Annotated[str | None, typer.Argument(metavar="TYPE", help="A type of the table above.")] = None,
    nthreads: Annotated[str | None, typer.Argument(help="Threads.", show_default="all cores")] = None,
    pure: Annotated[bool, mix("--pure", help="One tensor type everywhere: no mix.")] = False,
    tensor_type: Annotated[
        list[str], mix("--tensor-type", help="REGEX=TYPE: tensor type of the names it is found in; repeat for more.")
    ] = [],
    tensor_type_file: Annotated[str | None, mix("--tensor-type-file", help="File of such pairs.")] = None,
    output_tensor_type: Annotated[str | None, mix("--output-tensor-type", help="Tensor type of output.weight.")] = None,
    token_embedding_type: Annotated[
        str | None, mix("--token-embedding-type", help="Tensor type of the token embeddings.")
    ] = None,
    leave_output_tensor: Annotated[bool, mix("--leave-output-tensor", help="Keep output.weight as it is.")] = False,
    allow_requantize: Annotated[
        bool, mix("--allow-requantize", help="Take tensors that are quantized already, at a loss of quality.")
    ] = False,
    imatrix: Annotated[
        str | None, importance("--imatrix", help="Importance matrix, GGUF or .dat; `llamakit imatrix` makes one.")
    ] = None,
    include_weights: Annotated[
        list[str], importance("--include-weights", help="Use it for names with this text only; repeat for more.")
    ] = [],
    exclude_weights: Annotated[
        list[str], importance("--exclude-weights", help="Do not use it for names with this text; repeat for more.")
    ] = [],
    target_size: Annotated[
        str | None, measured("--target-size", help="Most bytes of the file, such as 90MB or 1.5GiB.")
    ] = None,
    target_bpw: Annotated[
        float | None, measured("--target-bpw", help="Most bits a weight, all tensors together.")
    ] = None,
    calibrate: Annotated[str | None, measured("--calibrate", help="Text on which damage is measured.")] = None,
    report: Annotated[str | None, measured("--report", help="HTML page to write: size against damage.")] = None,
    keep_split: Annotated[bool, file("--keep-split", help="Write shards, as the source has them.")] = False,
    prune_layers: Annotated[str | None, file("--prune-layers", help="Layers to leave out: L0,L1,...")] = None,
    override_kv: OverrideKv = [],
    dry_run: Annotated[bool, file("--dry-run", help="Write nothing, only say what would be written.")] = False,
    json: Annotated[bool, file("--json", help="Types and size as JSON on stdout.")] = False,
    max_buffer_size: Annotated[
        int | None, file("--max-buffer-size", help="MiB; taken for llama-quantize's sake: a few are always enough.")
    ] = None,
    arch_file: ArchFile = [],
    log_disable: LogDisable = False,
    verbose: Verbose = False,
) -> None:
    began = time.monotonic()
    add_arch_files(arch_file)
    words = [word for word in (output, type, nthreads) if word is not None]
    target = parse_target(target_size, target_bpw, calibrate)
    output, file_type, n_threads = read_words(model, words if target is None else with_type(words))
    if include_weights and exclude_weights:
        raise InvalidArgument("--include-weights and --exclude-weights cannot be used together")
    from llamakit.cli.quantize_output import Printer
    from llamakit.core.gguf.reader import GGUFReader
    from llamakit.tools.quantize.plan import Options, make_plan
    from llamakit.tools.quantize.run import carry_out, load_kernels

    with progress(not log_disable) as bars:
        model = model_path(model, bars)
    printer = Printer(None if log_disable else log, is_json=json)
    options = Options(
        tensor_types=[*map(tensor_type_pair, tensor_type), *pairs_of_file(tensor_type_file)],
        output_type=named_type("--output-tensor-type", output_tensor_type),
        token_embedding_type=named_type("--token-embedding-type", token_embedding_type),
        leave_output=leave_output_tensor,
        is_pure=pure,
        allow_requantize=allow_requantize,
        imatrix=read_imatrix(imatrix, include_weights, exclude_weights, printer),
        imatrix_path=imatrix or "",
        prune_layers=layers(prune_layers),
        overrides=parse_overrides(override_kv),
        keep_split=keep_split,
    )
    if target is not None and calibrate is not None:
        with progress(not log_disable) as bars:
            searched = search(
                model, output, target, calibrate, options, n_threads, report, bars, ignore if log_disable else log
            )
        file_type, options = searched
    with GGUFReader(model) as reader:
        plan = make_plan(reader, file_type, options)
        printer.start(plan, model, None if dry_run else output, n_threads)
        if dry_run:
            for tensor in plan.tensors:
                printer.planned(tensor)
        else:
            with progress(not log_disable) as bars:
                load_kernels(plan, bars)
                n_done = 0
                for step in carry_out(plan, reader, output, n_threads):
                    n_done += step.source_bytes
                    if step.is_last:
                        printer.done(step.tensor)
                    if bars is not None:
                        bars("quantizing", n_done, plan.source_bytes)
        printer.end(plan, time.monotonic() - began, is_dry=dry_run)


def ignore(line: str) -> None:
    pass


def type_table() -> str:
    """The types that a file can have, for the help."""
    names: dict[str, str] = {name: alias for alias, name in ALIASES.items()}
    rows = ["\b", "TYPE            bits a weight (of an 8B Llama 3)"]
    for file_type in FILE_TYPES:
        notes = [f"or {names[file_type.name]}"] if file_type.name in names else []
        notes += [file_type.note] if file_type.note else []
        line = f"{file_type.number:>2}  {file_type.name:<10} {file_type.bpw:>5.2f}  {', '.join(notes)}"
        rows.append(line.rstrip())
    rows.append(f"    {COPY.name:<17}  {COPY.note}")
    return "\n".join(rows)


quantize.__doc__ = f"""Write a model anew in fewer bits.

OUT.gguf may be left out: `llamakit quantize IN.gguf TYPE`. TYPE is a name or a number:

{type_table()}

Tensor types are F32, F16, BF16, Q8_0, Q6_K, Q4_K and so on, without _S, _M or _L.
"""


def read_words(model: str, words: list[str]) -> tuple[str, FileType, int | None]:
    """The output, file type and threads of `[OUT.gguf] TYPE [NTHREADS]`. A word that names a type is the type."""
    output = None
    if words and find_file_type(words[0]) is None:
        output = words.pop(0)
    if not words:
        known = f"{output!r} is not one" if output is not None else "such as Q4_K_M"
        raise InvalidArgument(f"the argument TYPE is missing ({known}; --help lists them)")
    word = words.pop(0)
    file_type = find_file_type(word)
    if file_type is None:
        raise InvalidArgument(f"invalid type {word!r} (--help lists the types)")
    if output is None:
        name = word.upper() if word.upper() in ALIASES else file_type.name
        folder = "" if is_fetched(model) else os.path.dirname(model)
        output = os.path.join(folder, f"ggml-model-{name}.gguf")
    if not words:
        return output, file_type, None
    if len(words) > 1 or not words[0].lstrip("-").isdecimal():
        raise InvalidArgument(f"invalid number of threads: {words[-1]!r}")
    return output, file_type, int(words[0]) if int(words[0]) > 0 else None


def named_type(name: str, word: str | None) -> GGMLType | None:
    """The tensor type that an option names."""
    from llamakit.core.quants import parse_type
    from llamakit.errors import UsageError

    try:
        return None if word is None else parse_type(word)
    except UsageError as error:
        raise InvalidArgument(f"{name}: {error}") from None


def tensor_type_pair(text: str) -> tuple[str, GGMLType]:
    """`attn_q=q8_0` -> a regular expression and a tensor type."""
    pattern, _, word = text.rpartition("=")
    if not pattern:
        raise InvalidArgument(f"--tensor-type: {text!r} is not REGEX=TYPE")
    type_ = named_type("--tensor-type", word)
    assert type_ is not None
    return pattern, type_


def pairs_of_file(path: str | None) -> list[tuple[str, GGMLType]]:
    if path is None:
        return []
    try:
        return [tensor_type_pair(word) for word in Path(path).read_text().split()]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InvalidArgument(f"--tensor-type-file: cannot read {path}: {reason}") from None


def layers(text: str | None) -> frozenset[int]:
    parts = text.split(",") if text is not None else []
    if not all(part.strip().isdecimal() for part in parts):
        raise InvalidArgument(f"--prune-layers: {text!r} is not L0,L1,...")
    return frozenset(map(int, parts))


def read_imatrix(path: str | None, include: list[str], exclude: list[str], printer: Any) -> Imatrix | None:
    if path is None:
        return None
    from llamakit.tools.imatrix_file import read_imatrix
    from llamakit.tools.quantize.importance import selected

    whole = read_imatrix(path)
    used = selected(whole, include, exclude)
    printer.imatrix(path, whole, used)
    return used
