"""`llamakit convert-hf`: flags of convert_hf_to_gguf.py, and those beyond it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from llamakit.cli.app import run
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.quants import dequantize

from ..convert.folders import safetensors_bytes, tensors, write_folder
from ..convert.test_mistral_native import PARAMS, native_tensors, tekken
from ..tools.web import Site, serve

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
        (["Tiny-1.5B-Chat", "--split-max-size", "10X"], 1, "no size such as 300M"),
        (["Tiny-1.5B-Chat/config.json"], 1, "is a file"),
        (["Tiny-1.5B-Chat", "--outfile", "Tiny-1.5B-Chat/model.safetensors"], 1, "is a file of the checkpoint"),
        (["Tiny-1.5B-Chat", "--outfile", "Tiny-1.5B-Chat/config.json"], 1, "is a file of the checkpoint"),
        (["Tiny-1.5B-Chat", "--outtype", "f32", "--outfile", "no/where.gguf"], 2, "cannot write"),
    ],
)
def test_what_cannot_be_is_one_line(args: list[str], code: int, words: str, folder: Path, capsys: Capture) -> None:
    assert run(["convert-hf", *args]) == code
    assert words in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    "flag", ["--mmproj", "--mtp", "--dspark", "--fuse-gate-up-exps", "--fuse-qkv", "--target-model-dir=x"]
)
def test_flags_of_the_script_that_make_no_sense_here_say_so(flag: str, folder: Path, capsys: Capture) -> None:
    assert run(["convert-hf", str(folder), flag]) == 1
    assert flag.partition("=")[0] in capsys.readouterr().err


def test_flags_of_the_script_that_change_nothing_are_taken(folder: Path) -> None:
    flags = ["--no-mtp", "--no-nextn", "--sentence-transformers-dense-modules", "--split-max-size", "0"]
    assert run(["convert-hf", str(folder), "--outfile", "out.gguf", "--split-max-tensors", "0", *flags]) == 0
    assert len(values("out.gguf")) == 21


def test_supported_models_are_listed(capsys: Capture) -> None:
    assert run(["convert-hf", "--print-supported-models"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "Supported models:" and "  - LlamaForCausalLM" in out


def test_the_first_shard_may_hold_metadata_only(folder: Path) -> None:
    flags = ["--outtype", "f32", "--outfile", "part.gguf", "--split-max-tensors", "11", "--no-tensor-first-split"]
    assert run(["convert-hf", str(folder), *flags]) == 0
    shards = sorted(Path().glob("part-*-of-00003.gguf"))
    assert len(shards) == 3 and len(values(shards[0])) == 21  # of all shards, read by the first
    with GGUFReader(shards[0]) as reader:
        assert [len(file.tensors) for file in reader.files] == [0, 11, 10]


def test_float8_may_become_q8_0(folder: Path) -> None:
    plain = tensors()
    codes = {name: np.full(array.shape, 0x3A, np.uint8) for name, array in plain.items()}
    scales = {"model.layers.0.mlp.up_proj.weight_scale": np.full(1, 0x40, np.uint8)}
    (folder / "model.safetensors").write_bytes(safetensors_bytes(codes | scales, "F8_E4M3"))
    assert run(["convert-hf", str(folder), "--outfile", "out.gguf", "--fp8-as-q8"]) == 0
    with GGUFReader("out.gguf") as reader:
        types = {tensor.name: tensor.type.name for tensor in reader.tensors}
    assert (types["blk.0.ffn_up.weight"], types["output_norm.weight"]) == ("Q8_0", "F32")
    np.testing.assert_allclose(values("out.gguf")["blk.0.ffn_up.weight"], 2.5, rtol=0.01)


def test_mistrals_own_format(tmp_path: Path) -> None:
    folder = tmp_path / "native"
    folder.mkdir()
    (folder / "params.json").write_text(json.dumps(PARAMS))
    (folder / "consolidated.safetensors").write_bytes(safetensors_bytes(native_tensors()))
    (folder / "tekken.json").write_text(json.dumps(tekken()))
    out = str(tmp_path / "out.gguf")
    assert run(["convert-hf", str(folder), "--mistral-format", "--outtype", "f32", "--outfile", out]) == 0
    assert len(values(out)) == 21
    assert run(["convert-hf", str(folder), "--outfile", out]) == 2  # no config.json


@pytest.fixture
def hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A hub with the folder as repository org/tiny, and files that nobody needs."""
    for name in ("MODEL_ENDPOINT", "HF_TOKEN", "LLAMA_ARG_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LLAMAKIT_CACHE", str(folder.parent / "cache"))
    with serve(Site()) as site:
        monkeypatch.setenv("HF_ENDPOINT", site.url)
        listed = []
        for path in [
            *folder.iterdir(),
            *map(Path, ("pytorch_model.bin", "modeling_tiny.py", "tiny.gguf", "../x.json")),
        ]:
            body = path.read_bytes() if path.is_file() else b"nobody needs this"
            is_large = path.suffix == ".safetensors"
            sha = hashlib.sha256(body) if is_large else hashlib.sha1(b"blob %d\0" % len(body) + body)
            name = str(path) if path.parent.name != folder.name else path.name
            hashed = {"lfs": {"oid": sha.hexdigest()}, "oid": "0" * 40} if is_large else {"oid": sha.hexdigest()}
            listed.append({"path": name, "size": len(body), **hashed})
            site.pages[f"/org/tiny/resolve/main/{name}"] = ("application/octet-stream", body)
        tree = "/api/models/org/tiny/tree/main?recursive=true"
        site.pages[tree] = ("application/json", json.dumps(listed).encode())
        yield site


def fetched(site: Site) -> list[str]:
    found = sorted(path.rpartition("/")[2] for path in site.paths if "/resolve/" in path)
    site.paths.clear()
    return found


def test_a_repository_is_fetched_once_and_only_what_is_needed(hub: Site, folder: Path, tmp_path: Path) -> None:
    assert run(["convert-hf", str(folder), "--outtype", "f32", "--outfile", "local.gguf"]) == 0
    assert run(["convert-hf", "org/tiny", "--outtype", "f32"]) == 0
    assert fetched(hub) == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert all(np.array_equal(values("org-tiny-f32.gguf")[name], array) for name, array in values("local.gguf").items())
    assert run(["convert-hf", "hf:org/tiny", "--outtype", "f32", "--outfile", "again.gguf"]) == 0
    assert fetched(hub) == []
    assert run(["convert-hf", "org/tiny", "--remote", "--offline", "--outtype", "f32", "--outfile", "off.gguf"]) == 0
    assert hub.paths == []
    with GGUFReader("off.gguf") as reader:
        assert reader.metadata["general.name"] == "org/tiny"


def test_a_vocabulary_alone_needs_no_tensors_of_a_repository(hub: Site) -> None:
    assert run(["convert-hf", "org/tiny", "--vocab-only", "--outfile", "out.gguf"]) == 0
    assert fetched(hub) == ["config.json", "tokenizer.json", "tokenizer_config.json"]


def test_fault_93_a_repository_whose_server_breaks_off_is_fetched_on(hub: Site, folder: Path) -> None:
    hub.cut_after = [10**9] * 4 + [30_000]  # in the middle of the tensors, which come last
    assert run(["convert-hf", "org/tiny", "--outtype", "f32", "--outfile", "out.gguf"]) == 0
    assert "bytes=30000-" in hub.ranges


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_fault_93_a_file_of_a_repository_with_another_hash_is_refused(name: str, hub: Site, capsys: Capture) -> None:
    page = f"/org/tiny/resolve/main/{name}"
    kind, body = hub.pages[page]
    hub.pages[page] = (kind, body[:-1] + b"x")
    assert run(["convert-hf", "org/tiny", "--outfile", "out.gguf"]) == 1
    assert "is wrong" in capsys.readouterr().err
    assert not os.path.exists("out.gguf")


def test_pickles_of_a_repository_are_fetched_on_request_only(hub: Site, capsys: Capture) -> None:
    tree = next(path for path in hub.pages if path.startswith("/api/"))
    kind, body = hub.pages[tree]
    listed = [entry for entry in json.loads(body) if not entry["path"].endswith(".safetensors")]
    hub.pages[tree] = (kind, json.dumps(listed).encode())
    assert run(["convert-hf", "org/tiny"]) == 1
    assert "--allow-pickle" in capsys.readouterr().err
    assert fetched(hub) == []
    assert run(["convert-hf", "org/tiny", "--allow-pickle"]) == 2  # which is none
    assert "pytorch_model.bin" in fetched(hub)


def test_ctrl_c_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("llamakit.cli.convert_hf.progress", lambda: nullcontext(interrupted))
    assert run(["convert-hf", str(folder), "--outtype", "f32", "--outfile", "out.gguf"]) == 130
    assert os.listdir() == [folder.name]
