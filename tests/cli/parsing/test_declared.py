"""Options mean the same whether Typer has built the command or not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from llamakit.cli.app import COMMANDS, Command, Group
from llamakit.cli.parsing.declared import declaration
from llamakit.cli.parsing.groups import flatten
from llamakit.cli.parsing.reader import read, spellings_of
from llamakit.cli.parsing.typer_command import typer_command


def commands(entries: Any = COMMANDS) -> Iterator[Any]:
    for entry in entries.values():
        if isinstance(entry, Group):
            yield from commands(entry.commands)
        else:
            yield pytest.param(entry, id=entry.function)


def table(command: Any) -> dict[str, tuple[Any, ...]]:
    """What each spelling does; converters are all alike but for their type."""
    return {
        name: (s.dest, s.convert is None, s.constant, s.many, s.word_optional)
        for name, s in spellings_of(command).items()
    }


@pytest.mark.parametrize("entry", [*commands()])
def test_what_is_declared_is_what_typer_would_read(entry: Command) -> None:
    function = flatten(getattr(import_module(entry.module), entry.function))
    command, declared = typer_command("x", function), declaration(function)
    if declared is None:
        pytest.skip("read by Typer: it has arguments, or options of its own")
    assert table(declared) == table(command)
    assert read(declared, []) == read(command, [])
    assert [(p.name, p.envvar) for p in declared.params] == [
        (p.name, p.envvar) for p in command.params if p.expose_value and p.param_type_name == "option"
    ]


def test_run_is_read_without_typer() -> None:
    code = (
        "import sys; from llamakit.cli.app import run; code = run(['run', '-m', '/no/such.gguf', '-p', 'x']);"
        "assert code == 2, code; assert not {'typer', 'rich', 'click'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
