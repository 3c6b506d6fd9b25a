"""`llamakit gguf verify`: lines for people, JSON for programs, exit codes for scripts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from llamakit.cli.app import run
from llamakit.core.gguf.file import GGUFFile
from llamakit.core.gguf.types import GGMLType
from llamakit.core.gguf.writer import GGUFWriter

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    blocks = np.full((2, 5 * 34), 0x3C, np.uint8)
    with GGUFWriter("m.gguf") as writer:
        writer.add("general.architecture", "other")
        writer.add("general.quantization_version", 2)
        writer.add_tensor("blk.0.attn_q.weight", blocks, GGMLType.Q8_0)
    return tmp_path / "m.gguf"


def damage(path: Path, block: int) -> int:
    """Make the scale of a block infinite; returns its place in the file."""
    with GGUFFile(path) as file:
        at = file.tensors[0].offset + block * 34
    raw = bytearray(path.read_bytes())
    raw[at : at + 2] = b"\x00\x7c"
    path.write_bytes(raw)
    return at


def test_a_sound_file_is_one_line_and_exit_0(model: Path, capsys: Capture) -> None:
    assert run(["gguf", "verify", "m.gguf"]) == 0
    out, err = capsys.readouterr()
    assert out == "m.gguf: sound, 0.0 MB of tensors: 0 errors, 0 warnings, 1 note (-v shows them)\n"
    assert err == ""
    assert run(["gguf", "verify", "-v", "m.gguf"]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("note: key general.architecture: 'other' is not known")


def test_fault_34_a_bad_block_is_a_line_with_its_place_and_exit_1(model: Path, capsys: Capture) -> None:
    at = damage(model, 7)
    assert run(["gguf", "verify", "m.gguf"]) == 1
    line, summary = capsys.readouterr().out.splitlines()
    assert line == f"error: tensor blk.0.attn_q.weight (Q8_0), block 7, byte {at}: scale d is NaN or infinite"
    assert summary.startswith("m.gguf: NOT sound, ")


def test_fault_34_the_json_tells_it_too(model: Path, capsys: Capture) -> None:
    at = damage(model, 7)
    assert run(["gguf", "verify", "--json", "m.gguf"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["is_sound"], shown["n_errors"], shown["n_warnings"], shown["n_notes"]) == (False, 1, 0, 1)
    assert shown["n_bytes"] == 340
    assert shown["findings"][1] == {
        "level": "error",
        "path": "m.gguf",
        "message": "scale d is NaN or infinite",
        "offset": at,
        "tensor": "blk.0.attn_q.weight",
        "type": "Q8_0",
        "block": 7,
        "n_blocks": 1,
        "blocks": [7],
    }


def test_the_first_block_is_block_0_in_json(model: Path, capsys: Capture) -> None:
    damage(model, 0)
    run(["gguf", "verify", "--json", "m.gguf"])
    finding = json.loads(capsys.readouterr().out)["findings"][1]
    assert (finding["block"], finding["blocks"]) == (0, [0])


def test_warnings_count_only_if_strict(model: Path, capsys: Capture) -> None:
    model.write_bytes(model.read_bytes() + b"appended")
    assert run(["gguf", "verify", "m.gguf"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("warning: 8 bytes follow the last tensor")
    assert err == ""  # the reader's own warning is not told twice
    assert run(["gguf", "verify", "--strict", "m.gguf"]) == 1


def test_a_file_that_is_no_gguf_is_not_sound(model: Path, capsys: Capture) -> None:
    model.write_bytes(b"hello, I am a text file, not a model")
    assert run(["gguf", "verify", "m.gguf"]) == 1
    assert capsys.readouterr().out.startswith("error: byte 0: not a GGUF file")


def test_a_path_that_cannot_be_opened_is_exit_2(tmp_path: Path, capsys: Capture) -> None:
    assert run(["gguf", "verify", str(tmp_path / "nowhere.gguf")]) == 2
    assert "no such file" in capsys.readouterr().err
