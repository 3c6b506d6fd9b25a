"""`llamakit pull NAME`: fetch a model into the cache and say where it is."""

from __future__ import annotations

from typing import Annotated

import typer

from llamakit.cli.console import progress
from llamakit.cli.options import Verbose


def pull(
    name: Annotated[str, typer.Argument(help="Which model: demo (SmolLM2-135M-Instruct, 98 MB).")],
    verbose: Verbose = False,
) -> None:
    """Fetch a model once into the cache; prints its path. A broken download goes on where it stopped."""
    from llamakit.tools.pull import pull as fetch

    with progress() as report:
        path = fetch(name, report)
    print(path)
