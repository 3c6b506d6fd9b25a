"""What can go wrong with a chat that a user can mend."""

from __future__ import annotations

from llamakit.errors import LlamakitError


class MessageError(LlamakitError):
    """Messages that are not what they must be; the text begins with the place, as `messages[2].content`."""

    exit_code = 2

    def __init__(self, where: str, message: str) -> None:
        self.where = where
        super().__init__(f"{where}: {message}")


class TemplateError(LlamakitError):
    """A chat template that cannot be read, that fails, or that refuses the messages; `line` counts from 1."""

    exit_code = 2

    def __init__(self, message: str, line: int | None = None) -> None:
        self.line = line
        super().__init__(message)
