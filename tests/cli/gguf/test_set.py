"""`llamakit gguf set`: a dry run unless forced, in place or to a copy, with gguf-new-metadata's flags."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llamakit.cli.app import run
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import ValueType
from llamakit.core.gguf.writer import GGUFWriter
from tests.tiny import Tiny, write_tiny

Capture = pytest.CaptureFixture[str]
METADATA = {
    "general.name": "old",
    "general.url": "here",
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "default",
    "tokenizer.ggml.tokens": ["a", "b", "ab", "<end>"],
    "tokenizer.ggml.token_type": [1, 1, 1, 3],
    "tokenizer.ggml.merges": ["a b"],
    "tokenizer.ggml.eos_token_id": 3,
}


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_tiny(tmp_path / "m.gguf", Tiny(metadata=METADATA))


def test_nothing_is_written_unless_forced(model: Path, capsys: Capture) -> None:
    before = model.read_bytes()
    for flags in ([], ["--dry-run"], ["--force", "--dry-run"], ["-o", "new.gguf"]):
        assert run(["gguf", "set", "m.gguf", "tokenizer.ggml.eos_token_id", "2", *flags]) == 0
        out, err = capsys.readouterr()
        assert out == "tokenizer.ggml.eos_token_id: 3 (uint32) -> 2 (uint32)\n"
        assert err == "dry run: nothing is written without --force\n"
    assert model.read_bytes() == before
    assert os.listdir() == ["m.gguf"]


@pytest.mark.parametrize("flag", ["--force", "--yes", "-y"])
def test_a_number_is_set_in_the_file_itself(flag: str, model: Path, capsys: Capture) -> None:
    inode = model.stat().st_ino
    assert run(["gguf", "set", flag, "m.gguf", "tokenizer.ggml.eos_token_id", "2"]) == 0
    assert GGUFReader(model).metadata["tokenizer.ggml.eos_token_id"] == 2
    assert (model.stat().st_ino, os.listdir()) == (inode, ["m.gguf"])
    assert run(["gguf", "set", flag, "m.gguf", "tokenizer.ggml.eos_token_id", "2"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "tokenizer.ggml.eos_token_id: is 2 (uint32) already"


def test_a_text_needs_a_copy(model: Path, capsys: Capture) -> None:
    assert run(["gguf", "set", "m.gguf", "general.name", "new"]) == 0
    assert capsys.readouterr().err == "dry run: nothing is written without --force and a copy named with -o\n"
    assert run(["gguf", "set", "m.gguf", "general.name", "new", "--force"]) == 2
    assert "name a copy to write with -o" in capsys.readouterr().err
    assert run(["gguf", "set", "m.gguf", "general.name", "new", "--force", "-o", "m.gguf"]) == 2
    assert "is the file itself" in capsys.readouterr().err
    assert run(["gguf", "set", "m.gguf", "general.name", "new", "--force", "-o", "new.gguf"]) == 0
    assert GGUFReader("new.gguf").metadata["general.name"] == "new"
    assert GGUFReader(model).metadata["general.name"] == "old"


def test_many_changes_go_to_one_copy(model: Path, capsys: Capture) -> None:
    Path("chat.jinja").write_text("{{ messages }}")
    flags = [
        *("--general-name", "N", "--general-description", "D", "--pre-tokenizer", "llama-bpe"),
        *("--chat-template-file", "chat.jinja", "--remove-metadata", "general.url"),
        *("--special-token", "bos=<end>", "--special-token-by-id", "pad=1"),
        *("--type", "[f32]", "my.numbers", "[1, 2.5]"),
    ]
    assert run(["gguf", "set", "m.gguf", "-o", "new.gguf", "--yes", *flags]) == 0
    new = dict(GGUFReader("new.gguf", strict=True).metadata)
    old = dict(GGUFReader(model).metadata)
    del old["general.url"]
    assert new == old | {
        "general.name": "N",
        "general.description": "D",
        "tokenizer.ggml.pre": "llama-bpe",
        "tokenizer.chat_template": "{{ messages }}",
        "tokenizer.ggml.bos_token_id": 3,
        "tokenizer.ggml.padding_token_id": 1,
        "my.numbers": [1.0, 2.5],
    }


def test_a_negative_number_follows_two_dashes(model: Path) -> None:
    args = ["gguf", "set", "-y", "-o", "new.gguf", "--type", "i32", "m.gguf", "my.number", "--", "-5"]
    assert run(args) == 0
    assert GGUFReader("new.gguf").metadata["my.number"] == -5


@pytest.mark.parametrize(
    "args, code, words",
    [
        ([], 1, "nothing is to be changed"),
        (["general.name"], 1, "the key general.name needs a VALUE"),
        (["general.name", "x", "--general-name", "y"], 1, "in two ways"),
        (["--chat-template", "x", "--chat-template-file", "y"], 1, "only one of"),
        (["--special-token", "eos"], 1, "not ROLE=TEXT"),
        (["--special-token", "eos", "<end>"], 1, "not ROLE=TEXT"),
        (["--special-token-by-id", "eos=x"], 1, "not ROLE=ID"),
        (["--special-token-by-id", "eos=4"], 2, "the ids 0..3"),
        (["--remove-metadata", "nothing"], 2, "no key nothing"),
        (["llama.block_count", "7"], 2, "would be broken"),
    ],
)
def test_what_cannot_be_is_one_line(args: list[str], code: int, words: str, model: Path, capsys: Capture) -> None:
    before = model.read_bytes()
    assert run(["gguf", "set", "--force", "m.gguf", *args]) == code
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
    assert model.read_bytes() == before


def test_of_a_split_the_first_shard_is_changed(tmp_path: Path, capsys: Capture) -> None:
    for i in range(2):
        with GGUFWriter(tmp_path / f"m-0000{i + 1}-of-00002.gguf") as writer:
            if i == 0:
                writer.add("general.architecture", "other")
                writer.add("general.file_type", 1)
            writer.add("split.no", i, ValueType.UINT16)
            writer.add("split.count", 2, ValueType.UINT16)
    first, second = sorted(map(str, tmp_path.iterdir()))
    assert run(["gguf", "set", "-y", second, "general.file_type", "2"]) == 2
    assert "is a shard without metadata" in capsys.readouterr().err
    assert run(["gguf", "set", "-y", first, "general.file_type", "2"]) == 0
    assert GGUFReader(second).metadata["general.file_type"] == 2
