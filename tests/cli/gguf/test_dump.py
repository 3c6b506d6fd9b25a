"""`llamakit gguf dump`: what a file holds, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from llamakit.cli.app import run
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.values import Value
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.tools.inspect import brief

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    with GGUFWriter(tmp_path / "toy.gguf") as writer:
        writer.add("general.architecture", "llama")
        writer.add("tokenizer.ggml.tokens", [f"t{i}" for i in range(20)])
        writer.add("llama.rope.freq_base", 0.5)
        writer.add_tensor("token_embd.weight", np.zeros((20, 8), np.float32))
    return tmp_path / "toy.gguf"


def test_tables_show_metadata_and_tensors(model: Path, capsys: Capture) -> None:
    assert run(["gguf", "dump", str(model)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["string", "general.architecture", "llama"] in lines
    assert ["float32", "llama.rope.freq_base", "0.5"] in lines
    assert ["[string]", "tokenizer.ggml.tokens", *"[t0, t1, t2, t3, t4, t5, ... 20 in all]".split()] in lines
    assert ["token_embd.weight", "8", "x", "20", "F32", "640"] in lines


def test_tensors_can_be_left_out(model: Path, capsys: Capture) -> None:
    assert run(["gguf", "dump", str(model), "--no-tensors"]) == 0
    assert "token_embd.weight" not in capsys.readouterr().out


def test_json_has_gguf_dumps_keys(model: Path, capsys: Capture) -> None:
    assert run(["gguf", "dump", str(model), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert list(shown) == ["filename", "endian", "metadata", "tensors"]
    assert shown["endian"] == "LITTLE"
    entry = shown["metadata"]["general.architecture"]
    assert (entry["type"], entry["offset"], entry["value"]) == ("STRING", 24, "llama")
    assert shown["metadata"]["tokenizer.ggml.tokens"].keys() == {"index", "type", "offset", "array_types"}
    tensor = shown["tensors"]["token_embd.weight"]
    assert (tensor["shape"], tensor["type"]) == ([8, 20], "F32")


def test_json_array_adds_the_arrays(model: Path, capsys: Capture) -> None:
    assert run(["gguf", "dump", str(model), "--json", "--json-array"]) == 0
    tokens = json.loads(capsys.readouterr().out)["metadata"]["tokenizer.ggml.tokens"]
    assert tokens["array_types"] == ["STRING"]
    assert tokens["value"] == [f"t{i}" for i in range(20)]


def test_the_place_of_the_data_can_be_asked_alone(model: Path, capsys: Capture) -> None:
    with GGUFReader(model) as reader:
        start = reader.data_offset
    assert run(["gguf", "dump", str(model), "--data-offset"]) == 0
    assert capsys.readouterr().out == f"{start}\n"
    assert run(["gguf", "dump", str(model), "--data-alignment"]) == 0
    assert capsys.readouterr().out == "32\n"


def test_markdown_has_gguf_dumps_sections(model: Path, capsys: Capture) -> None:
    assert run(["gguf", "dump", str(model), "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"# {model} - GGUF Internal File Dump"
    assert "## Key Value Metadata Store" in lines
    assert "## Tensors Overview 160 Elements" in lines
    assert run(["gguf", "dump", str(model), "--markdown", "--no-tensors"]) == 0
    assert "Tensors Overview" not in capsys.readouterr().out


def test_a_file_that_is_no_gguf_is_one_line_and_exit_2(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "x.gguf").write_bytes(b"hello, I am a text file, not a model")
    assert run(["gguf", "dump", str(tmp_path / "x.gguf")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {tmp_path / 'x.gguf'} at byte 0: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "value, text",
    [
        ("plain", "plain"),
        ("a\x1b[31m\nb", r"a\x1b[31m\nb"),  # no command reaches the terminal
        ("x" * 61, "x" * 57 + "..."),
        ([1, 2], "[1, 2]"),
        ([[1], [2.5]], "[[1], [2.5]]"),
        (True, "true"),
    ],
)
def test_values_fit_on_a_line(value: Value, text: str) -> None:
    assert brief(value) == text
