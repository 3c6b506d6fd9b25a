"""`run` reads the options of llama.cpp's completion tool; and what its own ones do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from llamakit.cli.command import LlamaCommand
from llamakit.cli.compat import NO_EFFECT
from llamakit.cli.option_groups import flatten
from llamakit.cli.parsing import HELP, spellings_of
from llamakit.cli.run import run

TABLE = Path(__file__).parents[3] / "shared/spec/cli.md"
ELSEWHERE = {"--version", "-hf", "-hfr", "--hf-repo", "-hff", "--hf-file", "-hft", "--hf-token", "-mu", "--model-url"}
ADAPTERS = {"--lora", "--lora-scaled", "--control-vector", "--control-vector-scaled", "--control-vector-layer-range"}
OF_A_CONVERSATION = {
    "-cnv", "--conversation", "-no-cnv", "-i", "--interactive", "-if", "--interactive-first", "-mli",
    "--multiline-input", "--in-prefix-bos", "--in-prefix", "--in-suffix", "--chat-template", "--image", "--audio",
    "--video", "-o", "--output", "--output-file", "-sysf", "--system-prompt-file", "--no-conversation",
}  # fmt: skip


def core_options() -> set[str]:
    """Spellings that the tool of 2024 had, from the table of options."""
    found: set[str] = set()
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 7 and cells[4] == "core" and (cells[5] == "all" or "c" in cells[5]):
            found |= set(cells[0].split(", "))
    return found


@pytest.mark.skipif(not TABLE.exists(), reason="needs ../shared/spec/cli.md")
def test_every_core_option_is_read_or_passed_over() -> None:
    app = typer.Typer(add_completion=False)
    app.command("run", cls=LlamaCommand)(flatten(run))
    command = typer.main.get_command(app)
    read = {*spellings_of(command), *NO_EFFECT, *HELP}  # type: ignore[arg-type]
    wanted = core_options()
    assert len(wanted) > 100
    assert wanted - read - ELSEWHERE - ADAPTERS - OF_A_CONVERSATION == set()
