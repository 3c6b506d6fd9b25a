"""A command line, read as llama.cpp reads it, and the function that it calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llamakit.cli.parsing.declared import declaration
from llamakit.cli.parsing.groups import flatten
from llamakit.cli.parsing.reader import HelpWanted, read


def read_and_call(name: str, function: Callable[..., None], args: Sequence[str]) -> None:
    """Read `args` as the parameters of `function` and call it. Raises typer.Exit where it wants an exit code."""
    function = flatten(function)
    declared = declaration(function)
    try:
        if declared is not None:
            values = read(declared, args)
            function(**values)
            return
    except HelpWanted:
        pass
    from llamakit.cli.parsing import typer_command

    typer_command.read_and_call(name, function, args)
