"""GPT-2's spelling of bytes as printable letters, in which byte-level BPE writes its tokens."""

from __future__ import annotations


def _byte_letters() -> list[str]:
    """Printable Latin-1 stands for itself, the other 68 bytes become U+0100, U+0101, ..."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


LETTERS = _byte_letters()
BYTES = {letter: byte for byte, letter in enumerate(LETTERS)}
