"""Which model a command opens: a group of options (see `parsing/groups.py`)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Annotated

from llamakit.cli.console import Report
from llamakit.cli.options import shared as o
from llamakit.cli.options.shared import option
from llamakit.cli.parsing.reader import InvalidArgument


@dataclass(frozen=True)
class ModelOptions:
    """A path, or a name to fetch it by; the demo model where nothing is said."""

    model: o.Model = None
    hf_repo: Annotated[
        str | None, option("-hf", "-hfr", "--hf-repo", env="HF_REPO", help="Hugging Face: ORG/REPO[:QUANT].")
    ] = None
    hf_file: Annotated[
        str | None, option("-hff", "--hf-file", env="HF_FILE", help="The file of that repository to take.")
    ] = None
    hf_token: Annotated[str | None, option("-hft", "--hf-token", help="Access token; without it, HF_TOKEN's.")] = None
    model_url: Annotated[str | None, option("-mu", "--model-url", env="MODEL_URL", help="Address of a GGUF file.")] = (
        None
    )
    offline: Annotated[bool, option("--offline", env="OFFLINE", help="Fetch nothing: what is here must do.")] = False
    arch_file: o.ArchFile = field(default_factory=list)
    cache_list: Annotated[bool, option("-cl", "--cache-list", help="List what was fetched, and end.")] = False

    def __post_init__(self) -> None:
        """As in llama.cpp, -cl goes before all else that a command line asks for; own architectures are known next."""
        if self.cache_list:
            import typer

            from llamakit.cli.models import list_models

            list_models(json=False)
            raise typer.Exit
        o.add_arch_files(self.arch_file)

    @property
    def spec(self) -> str | None:
        """What the model is called, in one word."""
        if self.hf_repo is not None:
            name = f"{self.hf_repo.removeprefix('hf:').partition(':')[0]}/{self.hf_file}"
            return hub_name(name if self.hf_file else self.hf_repo)
        if self.hf_file is not None:
            raise InvalidArgument("-hff needs the repository of the file: -hf ORG/REPO")
        return self.model_url or self.model

    def path(self, report: Report | None) -> str:
        """The model's file, fetched first if need be."""
        return model_path(self.spec, report, self.offline, self.hf_token)


def hub_name(repo: str | None) -> str | None:
    """What ORG/REPO[:QUANT] of Hugging Face is called in one word."""
    return None if repo is None else f"hf:{repo.removeprefix('hf:')}"


def model_path(spec: str | None, report: Report | None, offline: bool = False, token: str | None = None) -> str:
    """The file of the model that is called `spec` (see `tools.model_source`); the demo's for None."""
    if spec is None and not offline:
        return o.demo_model(report)
    if spec is not None and not is_fetched(spec):
        return spec
    from llamakit.tools.pull import resolve

    return str(resolve(spec or "demo", report, offline or None, token=token))


def is_fetched(spec: str) -> bool:
    """Is `spec` something else than a path? (A file that is there goes first.)"""
    return (":" in spec or spec == "demo") and not os.path.exists(spec)
