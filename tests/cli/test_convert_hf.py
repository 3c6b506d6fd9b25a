"""`llamakit convert-hf`: flags of convert_hf_to_gguf.py, and those beyond it."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from llamakit.cli.app import run
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.quants import dequantize

from ..convert.folders import safetensors_bytes, tensors, write_folder

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_folder(tmp_path / "Tiny-1.5B-Chat")


def values(path: str | Path) -> dict[str, np.ndarray]:
    with GGUFReader(path) as reader:
        return {t.name: np.array(dequantize(t.data, t.type)) for t in reader.tensors}


def test_the_file_is_named_by_the_convention_and_lies_in_the_folder(folder: Path, capsys: Capture) -> None:
    assert run(["convert-hf", str(folder), "--outtype", "f32"]) == 0
    assert "F32, 21 tensors, 0.1 MB" in capsys.readouterr().err
    assert [path.name for path in folder.glob("*.gguf")] == ["Tiny-35K-1.5b-Chat-F32.gguf"]


@pytest.mark.parametrize("name", ["out-{ftype}.gguf", "out-{outtype}.gguf"])
def test_the_type_may_be_part_of_the_name(name: str, folder: Path) -> None:
    assert run(["convert-hf", str(folder), "--outtype", "f32", "--outfile", name]) == 0
    assert os.path.exists("out-f32.gguf")


def test_tensors_hold_the_checkpoints_values_with_rows_of_heads_paired(folder: Path) -> None:
    assert run(["convert-hf", str(folder), "--outtype", "f32", "--outfile", "out.gguf"]) == 0
    found, given = values("out.gguf"), tensors()
    np.testing.assert_array_equal(found["blk.1.ffn_down.weight"], given["model.layers.1.mlp.down_proj.weight"])
    halves = given["model.layers.0.self_attn.q_proj.weight"].reshape(4, 2, 4, 32)  # heads, halves, pairs
    pairs = found["blk.0.attn_q.weight"].reshape(4, 4, 2, 32)
    np.testing.assert_array_equal(pairs[:, :, 0], halves[:, 0])
    np.testing.assert_array_equal(pairs[:, :, 1], halves[:, 1])


def test_auto_keeps_bfloat16_bit_for_bit(folder: Path) -> None:
    halves = {name: (array.view(np.uint32) >> 16).astype(np.uint16) for name, array in tensors().items()}
    (folder / "model.safetensors").write_bytes(safetensors_bytes(halves, "BF16"))
    assert run(["convert-hf", str(folder), "--outfile", "out.gguf"]) == 0
    with GGUFReader("out.gguf") as reader:
        assert reader.metadata["general.file_type"] == 32
        tensor = reader.tensor("token_embd.weight")
        assert bytes(tensor.raw) == halves["model.embed_tokens.weight"].tobytes()
        assert reader.tensor("output_norm.weight").type.name == "F32"


def test_a_type_of_quantize_gives_what_quantize_gives(folder: Path) -> None:
    """In one pass: the same tensors as of the F16 file, but for what F16 rounds."""
    for kind in ("auto", "Q4_K_M"):
        assert run(["convert-hf", str(folder), "--outtype", kind, "--outfile", f"{kind}.gguf"]) == 0
    assert run(["quantize", "auto.gguf", "two.gguf", "Q4_K_M"]) == 0
    with GGUFReader("Q4_K_M.gguf") as one, GGUFReader("two.gguf") as two:
        assert {t.name: t.type for t in one.tensors} == {t.name: t.type for t in two.tensors}
        assert one.metadata["general.file_type"] == two.metadata["general.file_type"] == 15
    one_pass, two_passes = values("Q4_K_M.gguf"), values("two.gguf")
    for name, array in one_pass.items():
        np.testing.assert_allclose(array, two_passes[name], atol=0.05)


def test_vocab_only_needs_no_tensors(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert run(["convert-hf", str(folder), "--vocab-only"]) == 0
    (path,) = folder.glob("*.gguf")
    assert path.name == "Tiny-Chat-vocab.gguf"
    with GGUFReader(path) as reader:
        assert not reader.tensors
        assert len(reader.metadata["tokenizer.ggml.tokens"]) == 262


@pytest.mark.parametrize("flags, n", [(["--split-max-tensors", "8"], 3), (["--split-max-size", "1M"], 1)])
def test_shards_together_are_the_file(flags: list[str], n: int, folder: Path) -> None:
    assert run(["convert-hf", str(folder), "--outtype", "f32", "--outfile", "whole.gguf"]) == 0
    assert run(["convert-hf", str(folder), "--outtype", "f32", "--outfile", "part.gguf", *flags]) == 0
    shards = sorted(Path().glob("part-*.gguf"))
    assert [path.name for path in shards] == [f"part-0000{i + 1}-of-0000{n}.gguf" for i in range(n)]
    whole, together = values("whole.gguf"), values(shards[0])
    assert list(whole) == list(together)
    assert all(np.array_equal(whole[name], together[name]) for name in whole)


def test_the_other_byte_order_holds_the_same(folder: Path) -> None:
    for flags in ([], ["--bigendian"]):
        assert run(["convert-hf", str(folder), "--outtype", "f32", "--outfile", f"{len(flags)}.gguf", *flags]) == 0
    little, big = values("0.gguf"), values("1.gguf")
    assert Path("0.gguf").read_bytes() != Path("1.gguf").read_bytes()
    assert all(np.array_equal(little[name], big[name]) for name in little)


def test_names_and_keys_can_be_given(folder: Path) -> None:
    Path("keys.json").write_text(json.dumps({"general.author": "someone"}))
    flags = ["--outtype", "f32", "--outfile", "out.gguf", "--model-name", "My Model", "--metadata", "keys.json"]
    assert run(["convert-hf", str(folder), *flags, "--no-lazy", "--use-temp-file"]) == 0
    with GGUFReader("out.gguf") as reader:
        assert (reader.metadata["general.name"], reader.metadata["general.author"]) == ("My Model", "someone")


def test_a_dry_run_shows_the_mapping_and_writes_nothing(folder: Path, capsys: Capture) -> None:
    before = sorted(os.listdir(folder))
    assert run(["convert-hf", str(folder), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "llama.block_count = '2'" in out
    assert "<- model.layers.1.self_attn.k_proj.weight (pair rows of 2 heads)" in out
    assert run(["convert-hf", str(folder), "--dry-run", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["tensors"]) == 21
    assert sorted(os.listdir(folder)) == before


def test_tensors_without_a_place_are_told_with_the_nearest(folder: Path, capsys: Capture) -> None:
    extra = {**tensors(), "model.layers.0.mlp.gate_projx.weight": np.zeros((4, 4), np.float32)}
    (folder / "model.safetensors").write_bytes(safetensors_bytes(extra))
    assert run(["convert-hf", str(folder), "--dry-run"]) == 0
    words = "no place: model.layers.0.mlp.gate_projx.weight; the nearest known is model.layers.0.mlp.gate_proj.weight"
    assert words in capsys.readouterr().out
    assert run(["convert-hf", str(folder), "--outfile", "out.gguf"]) == 1
    assert "1 tensors have no place in llama" in capsys.readouterr().err
    assert not os.path.exists("out.gguf")


@pytest.mark.parametrize(
    "args, code, words",
    [
        (["nowhere"], 1, "no such folder"),
        (["org/nowhere/deeper"], 1, "no such folder"),
        ([".", "--outtype", "f32"], 2, "config.json: no such file"),
        (["Tiny-1.5B-Chat", "--outtype", "F7"], 2, "unknown file type"),
        (["Tiny-1.5B-Chat", "--outtype", "COPY"], 1, "auto keeps 16 bits"),
        (["Tiny-1.5B-Chat", "--split-max-size", "10K"], 1, "no size such as 300M"),
        (["Tiny-1.5B-Chat/config.json"], 1, "is a file"),
        (["Tiny-1.5B-Chat", "--outfile", "Tiny-1.5B-Chat/model.safetensors"], 1, "is a file of the checkpoint"),
        (["Tiny-1.5B-Chat", "--outfile", "Tiny-1.5B-Chat/config.json"], 1, "is a file of the checkpoint"),
        (["Tiny-1.5B-Chat", "--outtype", "f32", "--outfile", "no/where.gguf"], 2, "cannot write"),
    ],
)
def test_what_cannot_be_is_one_line(args: list[str], code: int, words: str, folder: Path, capsys: Capture) -> None:
    assert run(["convert-hf", *args]) == code
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_ctrl_c_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("llamakit.cli.convert_hf.progress", lambda: nullcontext(interrupted))
    assert run(["convert-hf", str(folder), "--outtype", "f32", "--outfile", "out.gguf"]) == 130
    assert os.listdir() == [folder.name]
