"""Functions that show other parameters than their own: those `inspect`, and so Typer, reads of a command."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence


def shown(
    call: Callable[..., None], function: Callable[..., None], parameters: Sequence[inspect.Parameter]
) -> Callable[..., None]:
    """`call` with the name and the text of a function, and with these parameters to be read."""
    call.__dict__.update(function.__dict__)  # marks such as `reader.passes_over`
    call.__name__, call.__doc__ = function.__name__, function.__doc__
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    call.__dict__["__signature__"] = inspect.signature(function).replace(parameters=parameters)
    return call
