"""The `gguf` commands and `gguf-split`: help at once, without anything heavy."""

from __future__ import annotations

import pytest

from llamakit.cli.app import COMMANDS, Group, run
from tests.test_layers import HEAVY, loaded_by

GGUF = COMMANDS["gguf"]
assert isinstance(GGUF, Group)
ARGS = [["gguf-split"], *(["gguf", name] for name in GGUF.commands)]


@pytest.mark.parametrize("args", ARGS, ids=" ".join)
def test_help_names_the_command_and_imports_nothing_heavy(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*args, "--help"]) == 0
    assert f"Usage: llamakit {' '.join(args)} " in capsys.readouterr().out
    assert not loaded_by(f"from llamakit.cli.app import run; run({[*args, '--help']!r})") & HEAVY


def test_the_group_lists_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gguf", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in GGUF.commands)
