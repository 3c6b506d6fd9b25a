"""`llamakit gguf dump --markdown`, library side: gguf-dump's sections, in tables that stay tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import GGMLType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.tools.inspect_markdown import as_markdown, code, group_of, shown, table


@pytest.fixture
def reader(tmp_path: Path) -> GGUFReader:
    with GGUFWriter(tmp_path / "m.gguf") as writer:
        writer.add("general.architecture", "llama")
        writer.add("llama.eps", 0.5)
        writer.add("tokens", ["<|im_start|>", "b"])
        writer.add_tensor("token_embd.weight", np.zeros((4, 32), np.float32))
        writer.add_tensor("blk.0.w", np.zeros((2, 34), np.uint8), GGMLType.Q8_0)
    return GGUFReader(tmp_path / "m.gguf")


def test_keys_and_tensors_are_rows(reader):
    lines = list(as_markdown(reader))
    rows = [line.replace(" ", "") for line in lines]
    assert "|4|STRING|1|general.architecture|`llama`|" in rows
    assert "|6|[STRING]|2|tokens|[`<\\|im_start\\|>`,`b`]|" in rows
    assert "- [Block 0 Tensor Group - 64 Elements](#blk_0)" in lines
    offset, size = reader.tensor("blk.0.w").offset, 68
    assert f"|1|blk.0.w|64|32x2|Q8_0|8.5000|{offset:#x}|{size:#x}|" in rows
    assert lines[-1] == f"Total BPW for m.gguf: {8 * (512 + 68) / (128 + 64):.4f} bits"


def test_the_headings_are_those_of_gguf_dump(reader):
    command = [sys.executable, "-m", "gguf.scripts.gguf_dump", "--markdown", reader.path]
    theirs = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    ours = list(as_markdown(reader))
    extra = {"### Tensor Data Offset"}  # a table of its own there, two columns here
    headings = [line for line in theirs if line.startswith("#") and line not in extra]
    assert [line for line in ours if line.startswith("#")] == headings
    assert [line for line in ours if "key-value pairs" in line] == [
        line for line in theirs if "key-value pairs" in line
    ]


def test_every_row_of_a_table_has_as_many_cells_as_its_head(tmp_path):
    with GGUFWriter(tmp_path / "m.gguf") as writer:
        writer.add("general.architecture", "a|b\nc`d``")
        writer.add("x|y", 1)
        writer.add_tensor("t|u", np.zeros(8, np.float32))
    rows = [line for line in as_markdown(GGUFReader(tmp_path / "m.gguf")) if line.startswith("|")]
    assert len(rows) > 8
    assert {line.replace("\\|", "").count("|") for line in rows} == {6, 9}


@pytest.mark.parametrize(
    "text, span", [("a", "`a`"), ("a`b", "``a`b``"), ("`a", "`` `a ``"), ("a|b", "`a\\|b`"), ("\n", "`\\n`")]
)
def test_code_spans_hold_any_text(text, span):
    assert code(text) == span


def test_long_values_are_cut():
    assert shown("x" * 61, 60) == f"`{'x' * 30}`...`{'x' * 30}`"
    assert shown([1, 2, 3, 4, 5, 6, 7], 60) == "[ 1, 2, 3, 4, 5, 6, ... ]"
    assert shown(["y" * 40], 60) == f"[ `{'y' * 15}`...`{'y' * 15}` ]"


@pytest.mark.parametrize(
    "name, group",
    [("blk.12.attn_q.weight", "blk.12"), ("enc.blk.1.x", "enc.blk.1"), ("output.weight", "base"), ("blk.x", "base")],
)
def test_tensors_are_grouped_by_layer(name, group):
    assert group_of(name) == group


def test_a_table_is_aligned_as_text_too():
    assert list(table((">n", "name"), [("1", "a"), ("10", "bcdef")])) == [
        "|  n | name  |",
        "|---:|:------|",
        "|  1 | a     |",
        "| 10 | bcdef |",
    ]
