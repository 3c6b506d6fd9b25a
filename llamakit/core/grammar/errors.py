"""What a user can mend in a grammar."""

from __future__ import annotations

from llamakit.errors import LlamakitError, printable

SHOWN = 24  # characters of the text that is wrong


class GrammarError(LlamakitError):
    """A grammar, schema or pattern that cannot be used; or a text that it does not allow."""

    exit_code = 2


def syntax_error(kind: str, text: str, at: int, message: str) -> GrammarError:
    """`kind`, line and column (from 1), what is wrong, and the text that stands there."""
    line, column = place(text, at)
    rest = text[at:].split("\n", 1)[0]
    shown = rest[:SHOWN] + ("..." if len(rest) > SHOWN else "")
    found = f"found {printable(shown)!r}" if rest else "found the end of the line" if text[at:] else "found the end"
    return GrammarError(f"{kind}, line {line}, column {column}: {message}, {found}")


def place(text: str, at: int) -> tuple[int, int]:
    """Line and column, from 1."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
