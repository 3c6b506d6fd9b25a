"""The text that a measurement runs over: a group of options (see `parsing/groups.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from llamakit.cli.options import shared as o
from llamakit.cli.options.prompt import read_file, unescape
from llamakit.cli.options.shared import PROMPT_SOURCE, option
from llamakit.errors import UsageError

PANEL = "Text"


@dataclass(frozen=True)
class TextOptions:
    file: Annotated[
        str | None, PROMPT_SOURCE, option("-f", "--file", panel=PANEL, help="File with the text (or the tasks).")
    ] = None
    binary_file: Annotated[
        str | None, PROMPT_SOURCE, option("-bf", "--binary-file", panel=PANEL, help="The same, raw.")
    ] = None
    prompt: Annotated[str | None, PROMPT_SOURCE, option("-p", "--prompt", panel=PANEL, help="The text itself.")] = None
    escape: o.Escape = False

    @property
    def is_given(self) -> bool:
        return any(given is not None for given in (self.file, self.binary_file, self.prompt))

    @property
    def name(self) -> str:
        """The file's name, as it was given; empty for a text of the command line."""
        return self.file or self.binary_file or ""

    def read(self) -> bytes:
        """The text: of -f without its last newline, of -bf as it is. Raises UsageError where there is none."""
        if self.binary_file is not None:
            return read_file(self.binary_file)
        if self.prompt is not None:
            raw = self.prompt.encode("utf-8", errors="surrogateescape")
        elif self.file is not None:
            raw = read_file(self.file).removesuffix(b"\n")
        else:
            raise UsageError("there is nothing to measure on: give a text file with -f")
        return unescape(raw.decode("utf-8", errors="surrogateescape")).encode() if self.escape else raw
