"""Options as commands declare them, readable without Typer, whose import and building of a command cost some 40 ms.

Only the help is Typer's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from llamakit.cli.parsing.signature import shown


@dataclass(frozen=True)
class Declared:
    """An option: what `typer.Option` would be given. A name "--x/--no-x" is a switch with two sides."""

    names: tuple[str, ...]
    help: str
    panel: str
    variable: str | None
    more: Mapping[str, Any]

    def for_typer(self) -> Any:
        import typer

        is_shown = self.variable is not None
        return typer.Option(
            *self.names,
            help=self.help,
            rich_help_panel=self.panel,
            envvar=self.variable,
            show_envvar=is_shown,
            **self.more,
        )


@dataclass(frozen=True)
class Parameter:
    """A parameter with its option, with the names that Typer's parameters have."""

    name: str
    opts: list[str]
    secondary_opts: list[str]
    envvar: str | None
    default: Any
    multiple: bool
    param_type_name: str = "option"
    expose_value: bool = True
    required: bool = False


@dataclass(frozen=True)
class Declaration:
    """A function as a command: what `reader.read` asks of one."""

    callback: Callable[..., None]
    params: list[Parameter] = field(default_factory=list)


def declaration(function: Callable[..., None]) -> Declaration | None:
    """The options of a function; None where one of its parameters is no `Declared` option."""
    hints = get_type_hints(function, include_extras=True)
    command = Declaration(function)
    for name, parameter in inspect.signature(function).parameters.items():
        marks = get_args(hints[name])[1:] if get_origin(hints[name]) is Annotated else ()
        option = next((mark for mark in marks if isinstance(mark, Declared)), None)
        if option is None:
            return None
        sides = [text.split("/") for text in option.names]
        command.params.append(
            Parameter(
                name=name,
                opts=[side[0] for side in sides],
                secondary_opts=[side[1] for side in sides if len(side) == 2],
                envvar=option.variable,
                default=parameter.default,
                multiple=get_origin(get_args(hints[name])[0]) is list,
            )
        )
    return command


def for_typer(function: Callable[..., None]) -> Callable[..., None]:
    """The function with Typer's options in place of ours."""
    hints = get_type_hints(function, include_extras=True)
    parameters = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hint_for_typer(hints[name]))
        for name, parameter in inspect.signature(function).parameters.items()
    ]

    def call(**values: Any) -> None:
        function(**values)

    return shown(call, function, parameters)


def hint_for_typer(hint: Any) -> Any:
    if get_origin(hint) is not Annotated:
        return hint
    kind, *marks = get_args(hint)
    return Annotated[(kind, *(mark.for_typer() if isinstance(mark, Declared) else mark for mark in marks))]
