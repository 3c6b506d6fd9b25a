"""`llamakit pull NAME`: fetch a model into the cache and say where it is."""

from __future__ import annotations

from typing import Annotated

import typer

from llamakit.cli.console import progress
from llamakit.cli.options.shared import Verbose
from llamakit.cli.parsing.reader import InvalidArgument
from llamakit.errors import UsageError


def pull(
    name: Annotated[
        str | None,
        typer.Argument(
            help="demo (SmolLM2-135M-Instruct, 98 MB), hf:ORG/REPO[:QUANT], modelscope:ORG/REPO[:QUANT], "
            "hf:ORG/REPO/FILE.gguf, or https://..."
        ),
    ] = None,
    hf_repo: Annotated[str | None, typer.Option("-hf", "-hfr", "--hf-repo", help="The same as hf:REPO.")] = None,
    hf_file: Annotated[str | None, typer.Option("-hff", "--hf-file", help="The file of that repository.")] = None,
    model_url: Annotated[str | None, typer.Option("-mu", "--model-url", help="The same as the address itself.")] = None,
    hf_token: Annotated[str | None, typer.Option("-hft", "--hf-token", help="Access token; else HF_TOKEN.")] = None,
    offline: Annotated[
        bool, typer.Option("--offline", envvar="LLAMA_ARG_OFFLINE", help="Only say where it is, if it is here.")
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Fetch a model into the cache; prints its path. A broken download goes on where it stopped.

    Of a repository, the file with QUANT in its name (Q4_K_M when none is said, else the first GGUF file), and all its
    shards. What is here is fetched again only if its source has another one now.
    """
    from llamakit.cli.options.model import ModelOptions
    from llamakit.tools.pull import resolve

    spec = ModelOptions(name, hf_repo, hf_file, hf_token, model_url, offline).spec
    if spec is None:
        raise InvalidArgument("which model? `llamakit pull --help` lists what it may be called")
    with progress() as report:
        path = resolve(spec, report, offline or None, token=hf_token, refresh=True)
    if not path.exists():
        raise UsageError(f"{path}: no such file; `llamakit pull --help` lists what a model may be called")
    print(path)
