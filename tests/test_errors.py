"""Messages that a screen can be given, whatever names they hold."""

from __future__ import annotations

import os

import pytest

from llamakit.errors import GGUFError


@pytest.mark.parametrize(
    "path, shown",
    [
        ("models/tiny model.gguf", "models/tiny model.gguf"),
        ("größe-模型.gguf", "größe-模型.gguf"),
        ("a\nb.gguf", r"a\nb.gguf"),
        ("\x1b[2J.gguf", r"\x1b[2J.gguf"),
        (os.fsdecode(b"\xff.gguf"), r"\udcff.gguf"),
    ],
)
def test_an_error_of_a_file_is_one_line_of_text(path: str, shown: str) -> None:
    message = str(GGUFError(path, 24, "tensor 'a\r' ends"))
    assert message == f"{shown} at byte 24: tensor 'a\\r' ends"
    assert message.encode("utf-8").isascii() == shown.isascii()
