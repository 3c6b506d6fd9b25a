"""Texts in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamakit.errors import UsageError
from llamakit.tools.text_file import read_text


def test_a_byte_order_mark_is_none_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"\xef\xbb\xbfzo\xc3\xab\r\n")
    assert read_text(path) == "zoë\r\n"


def test_what_is_no_text_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"abc\xff")
    with pytest.raises(UsageError, match="text: byte 3 is not UTF-8"):
        read_text(path)
    with pytest.raises(UsageError, match="none: No such file"):
        read_text(tmp_path / "none")
