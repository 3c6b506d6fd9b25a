"""Where a prompt comes from: a group of options (see `parsing/groups.py`), and the text that they name."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from llamakit.cli.options import shared as o
from llamakit.cli.options.shared import OUTPUT, option
from llamakit.errors import UsageError


@dataclass(frozen=True)
class PromptOptions:
    prompt: o.Prompt = None
    file: o.PromptFile = None
    binary_file: o.BinaryFile = None
    in_file: Annotated[
        list[str],
        o.PROMPT_SOURCE,
        option("--in-file", panel=OUTPUT, help="Files to join, one a line's end apart; repeat or list a,b."),
    ] = field(default_factory=list)
    escape: o.Escape = True


def read_prompt(options: PromptOptions, reads_stdin: bool = True) -> str | bytes:
    """The text to go on from, of the one source that is given; of none, standard input unless a person sits there."""
    o = options
    if o.prompt is not None:
        return unescape(o.prompt) if o.escape else o.prompt
    if o.binary_file is not None:
        return read_file(o.binary_file)
    if o.file is not None or o.in_file:
        paths = [o.file] if o.file is not None else [path for text in o.in_file for path in text.split(",")]
        text = "\n".join(read_text(path) for path in paths)
        return unescape(text) if o.escape else text
    if not reads_stdin or sys.stdin is None or sys.stdin.isatty():
        return ""
    return sys.stdin.buffer.read().decode("utf-8", errors="replace").removesuffix("\n")


def read_text(path: str) -> str:
    """A file's text without the newline at its end."""
    return read_file(path).decode("utf-8", errors="replace").removesuffix("\n")


def read_file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def unescape(text: str) -> str:
    r"""Read \n \r \t \' \" \\ and \xHH (a byte of UTF-8) as llama.cpp does; other backslashes stay."""
    return unescape_bytes(text.encode("utf-8", errors="surrogateescape")).decode("utf-8", errors="replace")


def unescape_bytes(raw: bytes) -> bytes:
    """The same for a text whose bytes may not be UTF-8."""
    return re.sub(rb"\\(?:x([0-9A-Fa-f]{2})|([nrt'\"\\]))", unescape_one, raw)


def unescape_one(match: re.Match[bytes]) -> bytes:
    if match[1]:
        return bytes([int(match[1], 16)])
    return {b"n": b"\n", b"r": b"\r", b"t": b"\t"}.get(match[2], match[2])
