"""Commands that Typer knows: all of them for their help, some for their arguments too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.core import TyperCommand

from llamakit.cli.parsing.declared import for_typer
from llamakit.cli.parsing.reader import HELP, HelpWanted, read


class LlamaCommand(TyperCommand):
    """A command whose options follow llama.cpp's rules; its help lists them by group."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            ctx.params.update(read(self, args))
        except HelpWanted:
            print(ctx.get_help())
            raise typer.Exit() from None
        return []

    def format_options(self, ctx: Any, formatter: Any) -> None:
        panels: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                panel = getattr(param, "rich_help_panel", None)
                default = "Arguments" if param.param_type_name == "argument" else "Options"
                panels.setdefault(panel or default, []).append(record)
        for title in sorted(panels, key=lambda title: title == "Options"):
            with formatter.section(title):
                formatter.write_dl(panels[title])


def typer_command(name: str, function: Callable[..., None]) -> Any:
    """The function as Typer's command, without groups of options (see `groups.flatten`)."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name, cls=LlamaCommand, context_settings={"help_option_names": list(HELP)})(for_typer(function))
    return typer.main.get_command(app)


def read_and_call(name: str, function: Callable[..., None], args: Sequence[str]) -> None:
    """Read `args` as the parameters of `function` and call it, or show its help. Raises typer.Exit."""
    command = typer_command(name, function)
    with command.make_context(name, list(args)) as context:
        command.invoke(context)
