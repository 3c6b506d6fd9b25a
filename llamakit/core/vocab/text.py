"""Text at the border of a vocabulary: any str or bytes becomes a str that keeps bad bytes apart.

A byte that is not UTF-8 is carried as a lone surrogate U+DC80..U+DCFF (Python's "surrogateescape"), so a valid token
text is found in such a str exactly where its bytes are found in the bytes.
"""

from __future__ import annotations

import re

SPACE = "\u2581"  # stands for a space in the token texts of SentencePiece and its kin
BAD_BYTE = re.compile("[\udc80-\udcff]")


def as_text(text: str | bytes) -> str:
    """The text to encode: bad bytes of bytes escaped, surrogates of a str paired up or replaced by U+FFFD."""
    if isinstance(text, bytes):
        return text.decode("utf-8", "surrogateescape")
    if is_utf8(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def as_bytes(text: str) -> bytes:
    """The bytes that a text stands for; undoes `as_text`."""
    return text.encode("utf-8", "surrogateescape")


def is_utf8(text: str) -> bool:
    """Whether the text has no surrogates: bytes of a file that are no UTF-8 come as such."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
