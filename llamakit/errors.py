"""What can go wrong that a user can mend. The command line prints one line and exits; the server answers 4xx."""

from __future__ import annotations

from pathlib import Path


class LlamakitError(Exception):
    """Something the user can mend: the message says what, where, and what to do."""

    exit_code = 1


class UsageError(LlamakitError, ValueError):
    """An option or argument that makes no sense."""

    exit_code = 2


class GGUFError(LlamakitError):
    """A file that is not the GGUF it claims to be; names the file and the byte where it stops making sense.

    The message is one line of text: control characters and bytes that are no UTF-8, as names may hold, are escaped.
    """

    exit_code = 2

    def __init__(self, path: str | Path, offset: int | None, message: str) -> None:
        self.path, self.offset = Path(path), offset
        where = f" at byte {offset}" if offset is not None else ""
        super().__init__(printable(f"{path}{where}: {message}"))


class ModelError(LlamakitError):
    """A model whose metadata or tensors do not fit together, or that this machine cannot hold."""

    exit_code = 2


class VocabError(LlamakitError):
    """A vocabulary that is missing, unknown or inconsistent."""

    exit_code = 2


class KernelError(LlamakitError):
    """Compiled kernels cannot be made, stored or loaded."""


def printable(text: str) -> str:
    r"""The text on one line, with \n, \x1b, \udcff and the like for what a screen should not be given."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
