"""`llamakit diff`: where two model files begin to compute something else."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from llamakit.cli.console import progress
from llamakit.cli.options import shared as o
from llamakit.cli.options.look import LookOptions
from llamakit.cli.options.model import model_path
from llamakit.cli.options.prompt import PromptOptions, read_prompt
from llamakit.cli.options.shared import OUTPUT, option
from llamakit.cli.parsing.reader import InvalidArgument

if TYPE_CHECKING:
    from llamakit.tools.look.diff import Comparison

USUAL = "The quick brown fox jumps over the lazy dog. In 1687, Newton wrote:"


def diff(
    a: Annotated[str, typer.Argument(help="The file that is right.")],
    b: Annotated[str, typer.Argument(help="The file to compare.")],
    *,
    prompting: PromptOptions,
    looking: LookOptions,
    values: Annotated[list[str], option("--values", help="Names of values, with * and ?; may be repeated.")] = [],
    threshold: Annotated[
        float, option("--threshold", help="Squared error over squared size, from which values differ.")
    ] = 1e-2,
    all_values: Annotated[bool, option("--all", panel=OUTPUT, help="Show every value, not one a layer.")] = False,
    json: Annotated[bool, option("--json", panel=OUTPUT, help="Print JSON.")] = False,
    arch_file: o.ArchFile = [],
    verbose: o.Verbose = False,
) -> None:
    """Compute a prompt with two files, and say from which value on they differ.

    For a quantized file against its source, one of another converter, one of another format. Exit code 1 where a value
    differs by more than --threshold.
    """
    from llamakit.tools.look import diff as d

    o.add_arch_files(arch_file)
    if not threshold >= 0:
        raise InvalidArgument(f"--threshold: {threshold} is not a number from 0 on")
    is_given = prompting.prompt is not None or prompting.file or prompting.binary_file or prompting.in_file
    text = read_prompt(prompting) if is_given else USUAL
    prompt = text if isinstance(text, str) else text.decode("utf-8", errors="replace")
    with progress() as report:
        params = looking.params(model_path(a, report))
        made = d.diff(
            params, model_path(b, report), prompt, patterns=values or d.PATTERNS, threshold=threshold, report=report
        )
    sys.stdout.writelines(f"{line}\n" for line in ([as_json(made)] if json else table(made, all_values)))
    if made.first is not None:
        raise typer.Exit(1)


def table(made: Comparison, all_values: bool) -> Iterator[str]:
    shown = [d for d in made.differences if all_values or d.name.endswith(".out") or "." not in d.name]
    if made.first is not None and made.first not in shown:
        shown = [d for d in made.differences if d in shown or d is made.first]
    width = max((len(d.name) for d in shown), default=5)
    yield f"{'value':{width}}  {'squared error':>13}  worst at token"
    for d in shown:
        mark = "  <- the first beyond the threshold" if d is made.first else ""
        yield f"{d.name:{width}}  {d.error:13.3e}  {d.worst_token} {made.pieces[d.worst_token]!r}{mark}"
    for which, names in (("A", made.only_a), ("B", made.only_b)):
        if names:
            yield f"only in {which}: {', '.join(names)}"
    if made.first is None:
        yield f"no value differs by more than {made.threshold:g}"


def as_json(made: Comparison) -> str:
    return json_module.dumps(
        {
            "pieces": made.pieces,
            "first": None if made.first is None else made.first.name,
            "differences": [asdict(d) for d in made.differences],
            "only_a": made.only_a,
            "only_b": made.only_b,
        }
    )
