"""`llamakit gguf convert-endian`: a dry run unless forced."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from llamakit.cli.app import run
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.writer import GGUFWriter

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with GGUFWriter("m.gguf") as writer:
        writer.add("general.architecture", "other")
        writer.add_tensor("t", np.arange(8, dtype=np.float32))
    return tmp_path / "m.gguf"


def test_nothing_is_written_unless_forced(model: Path, capsys: Capture) -> None:
    before = model.read_bytes()
    for flags in ([], ["--dry-run", "--force"], ["-o", "big.gguf"]):
        assert run(["gguf", "convert-endian", "m.gguf", "big", *flags]) == 0
        out, err = capsys.readouterr()
        assert out.startswith(f"m.gguf is little-endian, this machine is {sys.byteorder}-endian\n")
        assert err == "dry run: nothing is written without --force\n"
    assert (model.read_bytes(), os.listdir()) == (before, ["m.gguf"])


def test_a_file_is_turned_in_place_or_into_a_copy(model: Path, capsys: Capture) -> None:
    little = model.read_bytes()
    assert run(["gguf", "convert-endian", "--yes", "m.gguf", "big", "-o", "big.gguf"]) == 0
    assert model.read_bytes() == little
    assert run(["gguf", "convert-endian", "--force", "m.gguf", "big"]) == 0
    assert model.read_bytes() == Path("big.gguf").read_bytes() != little
    assert GGUFReader(model).tensor("t").data.tolist() == [*range(8)]
    assert run(["gguf", "convert-endian", "-y", "m.gguf", "little"]) == 0
    assert model.read_bytes() == little


def test_a_file_in_that_order_is_left_alone(model: Path, capsys: Capture) -> None:
    assert run(["gguf", "convert-endian", "m.gguf", "little", "--force"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "nothing to do"


def test_an_order_that_is_none_is_one_line(model: Path, capsys: Capture) -> None:
    assert run(["gguf", "convert-endian", "m.gguf", "middle"]) == 2
    assert "'middle' is no byte order" in capsys.readouterr().err
