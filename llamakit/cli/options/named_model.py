"""The same for commands that take nothing but a model: its name may stand alone, without -m."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated

import typer

from llamakit.cli.options.model import ModelOptions
from llamakit.cli.parsing.reader import PREFIX, InvalidArgument


@dataclass(frozen=True)
class NamedModelOptions(ModelOptions):
    name: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="The same as -m.", show_default=False)] = None

    @property
    def spec(self) -> str | None:
        """Raises InvalidArgument where the command line names two models; the environment's gives way."""
        if self.name is None:
            return super().spec
        for flag, variable, value in (
            ("-m", "MODEL", self.model), ("-hf", "HF_REPO", self.hf_repo), ("-mu", "MODEL_URL", self.model_url),
        ):  # fmt: skip
            if value not in (None, self.name, os.environ.get(PREFIX + variable)):
                raise InvalidArgument(f"{self.name}: {flag} names another model: {value}")
        return self.name
