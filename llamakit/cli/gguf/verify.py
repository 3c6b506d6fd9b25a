"""`llamakit gguf verify FILE`: every block, offset and key looked at."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from llamakit.cli.console import progress
from llamakit.cli.options.shared import ArchFile, Verbose, add_arch_files


def verify(
    file: Annotated[str, typer.Argument(help="GGUF file; any shard of a split stands for the whole.")],
    json: Annotated[bool, typer.Option("--json", help="Everything found, notes too, as JSON.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    arch_file: ArchFile = [],
    verbose: Verbose = False,
) -> None:
    """Look for damage in a GGUF file: exit code 0 if it is sound, 1 if something is wrong with it."""
    import logging

    from llamakit.tools.gguf_verify.finding import Level
    from llamakit.tools.gguf_verify.run import verify as findings_of

    add_arch_files(arch_file)
    logging.disable(logging.WARNING)  # what the reader warns of is among the findings
    found = []
    size = 0
    try:
        with progress() as report:

            def advance(done: int, total: int) -> None:
                nonlocal size
                size = total
                if report:
                    report("verifying", done, total)

            for finding in findings_of(file, advance):
                found.append(finding)
                if not json and (verbose or finding.level is not Level.NOTE):
                    typer.echo(str(finding))
    finally:
        logging.disable(logging.NOTSET)
    n = {level: sum(finding.level is level for finding in found) for level in Level}
    is_sound = not n[Level.ERROR] and not (strict and n[Level.WARNING])
    if json:
        from json import dump

        counts = {f"n_{level.value}s": n[level] for level in Level}
        findings = [finding.as_json() for finding in found]
        dump({"path": file, "is_sound": is_sound, "n_bytes": size, **counts, "findings": findings}, sys.stdout)
        print()
    else:
        hint = "" if verbose or not n[Level.NOTE] else " (-v shows them)"
        counts_text = ", ".join(f"{n[level]} {level.value}{'s' * (n[level] != 1)}" for level in Level)
        print(f"{file}: {'sound' if is_sound else 'NOT sound'}, {size / 1e6:,.1f} MB of tensors: {counts_text}{hint}")
    if not is_sound:
        raise typer.Exit(1)
