"""Metadata keys and tensor names: which bytes may be one. Raises ValueError saying what is wrong, without the file."""

from __future__ import annotations

from llamakit.core.gguf.types import MAX_KEY_BYTES, MAX_NAME_BYTES


def parse_key(raw: bytes) -> str:
    """A metadata key: 1 to 65,535 bytes of printable UTF-8."""
    return _parse(raw, MAX_KEY_BYTES, "metadata key")


def parse_name(raw: bytes) -> str:
    """A tensor's name: 1 to 63 bytes of printable UTF-8, never a way out of a folder."""
    name = _parse(raw, MAX_NAME_BYTES, "tensor name")
    if ".." in name.replace("\\", "/").split("/"):
        raise ValueError(f"tensor name {name!r} climbs out of a folder")
    return name


def _parse(raw: bytes, most: int, what: str) -> str:
    check_length(len(raw), most, what)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"a {what} is not valid UTF-8: {raw[:64]!r}") from None
    if not text.isprintable():
        raise ValueError(f"a {what} holds a character that cannot be printed: {text[:64]!a}")
    return text


def check_length(n_bytes: int, most: int, what: str) -> None:
    if n_bytes == 0:
        raise ValueError(f"a {what} is empty")
    if n_bytes > most:
        raise ValueError(f"a {what} has {n_bytes} bytes; at most {most} are allowed")
