"""`llamakit gguf-split`: flags and lines of llama-gguf-split."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from llamakit.cli.app import run
from llamakit.core.gguf.writer import GGUFWriter

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with GGUFWriter("m.gguf") as writer:
        writer.add("general.architecture", "llama")
        for i in range(5):
            writer.add_tensor(f"t{i}", np.full(250_000, i, np.float32))
    return tmp_path / "m.gguf"


def test_splitting_and_merging_print_llama_gguf_splits_lines(model: Path, capsys: Capture) -> None:
    assert run(["gguf-split", "--split-max-tensors", "3", "m.gguf", "part"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "n_split: 2",
        "split 00001: n_tensors = 3, total_size = 3M",
        "split 00002: n_tensors = 2, total_size = 2M",
        "Writing file part-00001-of-00002.gguf ... done",
        "Writing file part-00002-of-00002.gguf ... done",
    ]
    assert err == "gguf_split: 2 gguf split written with a total of 5 tensors.\n"
    assert run(["gguf-split", "--merge", "part-00001-of-00002.gguf", "merged.gguf"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "gguf_merge: part-00001-of-00002.gguf -> merged.gguf",
        "gguf_merge: merged.gguf merged from 2 split with 5 tensors.",
    ]
    assert Path("merged.gguf").read_bytes() == model.read_bytes()


@pytest.mark.parametrize(
    "flags, counts",
    [
        ([], [5]),
        (["--split-max-size", "2M"], [2, 2, 1]),
        (["--split-max-size", "3M"], [3, 2]),
        (["--split", "--split_max_tensors=2", "--no-tensor-first-split"], [0, 2, 2, 1]),
        (["--split-max-size", "1G"], [5]),
    ],
)
def test_a_dry_run_tells_the_plan_and_writes_nothing(
    flags: list[str], counts: list[int], model: Path, capsys: Capture
) -> None:
    assert run(["gguf-split", "--dry-run", *flags, "m.gguf", "part"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"n_split: {len(counts)}"
    assert [int(line.split(" = ")[1].split(",")[0]) for line in lines[1:]] == counts
    assert os.listdir() == ["m.gguf"]


def test_delete_splits_deletes_them_after_the_merge(model: Path, capsys: Capture) -> None:
    assert run(["gguf-split", "--split-max-tensors", "3", "m.gguf", "part"]) == 0
    merge = ["gguf-split", "--merge", "--delete-splits", "part-00001-of-00002.gguf", "merged.gguf"]
    assert run([*merge, "--dry-run"]) == 0
    assert len(os.listdir()) == 3
    assert run(merge) == 0
    assert sorted(os.listdir()) == ["m.gguf", "merged.gguf"]


def test_a_tensor_above_the_limit_is_told(model: Path, capsys: Capture) -> None:
    assert run(["gguf-split", "--dry-run", "--split-max-size", "1M", "m.gguf", "part"]) == 0
    assert capsys.readouterr().err == ""  # 10^6 bytes are just allowed
    with GGUFWriter("m.gguf") as writer:
        writer.add_tensor("big", np.zeros(250_001, np.float32))
    assert run(["gguf-split", "--dry-run", "--split-max-size", "1M", "m.gguf", "part"]) == 0
    assert "tensor big alone is longer" in capsys.readouterr().err


@pytest.mark.parametrize(
    "args, code, words",
    [
        (["--split", "--merge", "m.gguf", "x"], 1, "not both"),
        (["--split-max-tensors", "2", "--split-max-size", "1M", "m.gguf", "x"], 1, "not both"),
        (["--split-max-tensors", "0", "m.gguf", "x"], 2, "at least one tensor"),
        (["--split-max-size", "10K", "m.gguf", "x"], 1, "no size such as 300M"),
        (["--split-max-size", "0M", "m.gguf", "x"], 1, "no size such as 300M"),
        (["m.gguf"], 1, "the argument OUT is missing"),
        (["--merge", "m.gguf", "x"], 2, "is no shard"),
        (["nowhere.gguf", "x"], 2, "no such file"),
    ],
)
def test_what_cannot_be_is_one_line(args: list[str], code: int, words: str, model: Path, capsys: Capture) -> None:
    assert run(["gguf-split", *args]) == code
    err = capsys.readouterr().err
    assert words in err.splitlines()[-1]
    assert os.listdir() == ["m.gguf"]


def test_ctrl_c_while_writing_leaves_nothing(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: GGUFWriter, name: str, data: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(GGUFWriter, "write_tensor", interrupted)
    assert run(["gguf-split", "m.gguf", "part"]) == 130
    assert os.listdir() == ["m.gguf"]


def test_ctrl_c_between_two_tensors_leaves_nothing(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(stage: str, done: int, total: int) -> None:
        assert len(os.listdir()) == 2  # a shard is being written
        raise KeyboardInterrupt

    monkeypatch.setattr("llamakit.cli.gguf.split.progress", lambda: nullcontext(interrupted))
    assert run(["gguf-split", "m.gguf", "part"]) == 130
    assert os.listdir() == ["m.gguf"]
