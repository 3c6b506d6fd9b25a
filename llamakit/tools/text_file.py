"""Texts that a user has in files."""

from __future__ import annotations

from pathlib import Path

from llamakit.errors import UsageError


def read_text(path: str | Path) -> str:
    """A file of UTF-8, with or without a byte order mark. Raises UsageError for any other."""
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start} is not UTF-8") from None
