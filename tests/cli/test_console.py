"""Progress is for terminals, and only for what takes its time."""

from __future__ import annotations

import io
import sys

import pytest

from llamakit.cli import console
from llamakit.cli.console import Bars, is_terminal, progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch, patience: float = 0.0) -> Terminal:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(console, "PATIENCE", patience)
    return stream


@pytest.mark.parametrize(
    "stream, term, ok", [(Terminal(), "xterm", True), (Terminal(), "dumb", False), (None, "xterm", False)]
)
def test_a_terminal_can_move_its_cursor(
    stream: Terminal | None, term: str, ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    assert is_terminal(stream) is ok


def test_a_pipe_gets_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as report:
        assert report is None


def test_each_stage_has_its_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    with progress() as report:
        assert report is not None
        report("compile", 1, 2)
        report("compile", 2, 2)
        report("pack", 1, 272)
    assert "compile:" in terminal.getvalue()
    assert "/272" in terminal.getvalue()


def test_an_unknown_total_counts_up(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    with progress() as report:
        assert report is not None
        report("compile", 1, 0)
        report("compile", 2, 0)
    assert "compile: 0it" in terminal.getvalue()


def test_large_numbers_are_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    bars = Bars()
    bars.report("download", 1 << 20, 100 << 20)
    bars.close()
    assert "/100M" in terminal.getvalue()


def test_what_is_quick_shows_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch, patience=60.0)
    with progress() as report:
        assert report is not None
        report("pack", 1, 2)
    assert terminal.getvalue() == ""
