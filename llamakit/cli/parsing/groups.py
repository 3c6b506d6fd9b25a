"""Groups of options that commands share: a frozen dataclass whose fields are options, taken as one parameter.

    @dataclass(frozen=True)
    class SamplingOptions:
        seed: Annotated[int | None, option("-s", "--seed", help="...")] = None

    def run(model: o.Model = None, *, sampling: SamplingOptions, verbose: o.Verbose = False) -> None: ...

`run --seed 7` calls `run(sampling=SamplingOptions(seed=7), ...)`. Such a parameter is keyword-only and has no default:
its fields have theirs, and the help lists them in its place.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from inspect import Parameter
from typing import Any, get_type_hints

from llamakit.cli.parsing.signature import shown


def flatten(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with the options of its groups as parameters of its own; itself when it has no groups."""
    signature = inspect.signature(function, eval_str=True)
    groups: dict[str, Any] = {p.name: p.annotation for p in signature.parameters.values() if is_dataclass(p.annotation)}
    if not groups:
        return function

    def call(**values: Any) -> Any:
        made = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        return function(**values, **made)

    parameters = [
        option
        for parameter in signature.parameters.values()
        for option in (
            parameters_of(parameter.annotation)
            if parameter.name in groups
            else [parameter.replace(kind=Parameter.KEYWORD_ONLY)]
        )
    ]
    return shown(call, function, parameters)


def parameters_of(group: Any) -> list[Parameter]:
    """The fields of a group as parameters of a function."""
    hints = get_type_hints(group, include_extras=True)
    return [
        Parameter(field.name, Parameter.KEYWORD_ONLY, default=default_of(field), annotation=hints[field.name])
        for field in fields(group)
    ]


def default_of(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default
