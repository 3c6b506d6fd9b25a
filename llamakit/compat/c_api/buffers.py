"""Reading and filling the memory that a caller gives."""

from __future__ import annotations

import ctypes
from typing import Any


def number(value: Any) -> int:
    """Of an int, or of one that ctypes has wrapped."""
    return int(getattr(value, "value", value))


def copy_text(text: bytes, buffer: Any, size: int) -> int:
    """Put a text and a zero behind it into a buffer, as far as they fit; returns the length of the whole text."""
    if buffer is not None and size > 0:
        part = text[: size - 1] + b"\0"
        ctypes.memmove(buffer, part, len(part))
    return len(text)


def copy_all(data: bytes, buffer: Any, size: int) -> int:
    """Put all bytes into a buffer and return how many; minus how many, and nothing is put, where they do not fit."""
    if len(data) > size:
        return -len(data)
    ctypes.memmove(buffer, data, len(data))
    return len(data)
