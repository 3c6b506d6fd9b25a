"""PEFT adapters: converting base and adapter is the same as converting the merged checkpoint."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from llamakit.cli.app import run
from llamakit.convert.lora import plan_lora
from llamakit.convert.plan import OUTPUT_TYPES
from llamakit.convert.run import Options, carry_out
from llamakit.core.engine.adapters import EMBEDDING, Adapter, check_adapter, load_adapter
from llamakit.core.gguf.reader import GGUFReader
from llamakit.errors import LlamakitError, ModelError

from .folders import safetensors_bytes, tensors, write_folder
from .test_faults import _TorchPickler, write_pickle

CONFIG = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "base_model_name_or_path": "somebody/tiny"}
QUERY, DOWN = "model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj"
KEY, HEAD = "model.layers.1.self_attn.k_proj", "lm_head"
SIZES = {QUERY: (32, 32), KEY: (16, 32), DOWN: (32, 64), HEAD: (262, 32)}


def halves(modules: dict[str, int], suffix: str = ".weight") -> dict[str, np.ndarray]:
    """A and B with random numbers; `modules` to their ranks."""
    rng = np.random.default_rng(3)
    found = {}
    for module, rank in modules.items():
        n_rows, n_columns = SIZES[module]
        for half, shape in {"A": (rank, n_columns), "B": (n_rows, rank)}.items():
            found[f"base_model.model.{module}.lora_{half}{suffix}"] = rng.normal(size=shape).astype(np.float32)
    return found


def write_peft(folder: Path, arrays: dict[str, np.ndarray], **config: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({**CONFIG, **config}))
    (folder / "adapter_model.safetensors").write_bytes(safetensors_bytes(arrays))
    return folder


def converted(folder: Path, base: Path, output: Path) -> Adapter:
    for _ in carry_out(plan_lora(folder, base, OUTPUT_TYPES["f32"]), output, Options()):
        pass
    return load_adapter(output)


def numbers(path: Path) -> dict[str, np.ndarray]:
    with GGUFReader(path) as reader:
        return {t.name: np.array(t.data, np.float32) for t in reader.tensors}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "tiny"
    write_folder(folder)
    assert run(["convert-hf", str(folder), "--outtype", "f32", "--outfile", str(folder / "base.gguf")]) == 0
    return folder


FACTORS = {
    "alpha / rank": ({}, {QUERY: 2.0, KEY: 2.0, DOWN: 2.0, HEAD: 2.0}),
    "alpha / sqrt(rank)": ({"use_rslora": True}, {QUERY: 4.0, KEY: 4.0, DOWN: 4.0, HEAD: 4.0}),
    "patterns": (
        {"rank_pattern": {"down_proj": 2}, "alpha_pattern": {"down_proj": 3, r"layers\.1\..*k_proj": 6}},
        {QUERY: 2.0, KEY: 1.5, DOWN: 1.5, HEAD: 2.0},
    ),
}


@pytest.mark.parametrize("kind", ["folder", "gguf"])
@pytest.mark.parametrize(("config", "factors"), FACTORS.values(), ids=FACTORS)
def test_an_adapter_and_its_base_make_the_merged_model(base, tmp_path, config, factors, kind):
    """Heads' rows are moved in the base's queries and keys, so they must be in B."""
    arrays = halves({QUERY: 4, KEY: 4, DOWN: 2 if "rank_pattern" in config else 4, HEAD: 4})
    adapter = converted(
        write_peft(tmp_path / "peft", arrays, **config),
        base if kind == "folder" else base / "base.gguf",
        tmp_path / "a.gguf",
    )
    merged = write_folder(tmp_path / "merged")
    whole = tensors()
    for module, factor in factors.items():
        a, b = (arrays[f"base_model.model.{module}.lora_{half}.weight"] for half in "AB")
        whole[f"{module}.weight"] += factor * (b @ a)
    (merged / "model.safetensors").write_bytes(safetensors_bytes(whole))
    assert run(["convert-hf", str(merged), "--outtype", "f32", "--outfile", str(tmp_path / "merged.gguf")]) == 0
    got, want = numbers(base / "base.gguf"), numbers(tmp_path / "merged.gguf")
    with GGUFReader(base / "base.gguf") as reader:
        check_adapter(adapter, "llama", reader)
    for name, pair in adapter.pairs.items():
        got[name] = got[name] + adapter.factor(name) * pair.product()
    assert len(adapter.pairs) == 4
    for name, values in want.items():
        np.testing.assert_allclose(got[name], values, atol=1e-4, err_msg=name)


def test_an_embedding_has_a_row_for_each_token(base, tmp_path):
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(4, 262)).astype(np.float32), rng.normal(size=(32, 4)).astype(np.float32)
    stem = "base_model.model.model.embed_tokens.lora_embedding"
    adapter = converted(write_peft(tmp_path / "peft", {f"{stem}_A": a, f"{stem}_B": b}), base, tmp_path / "a.gguf")
    np.testing.assert_array_equal(adapter.pairs[EMBEDDING].product(is_embedding=True), (b @ a).T)
    with GGUFReader(base / "base.gguf") as reader:
        check_adapter(adapter, "llama", reader)


WRONG = {
    "DoRA": ({"use_dora": True}, {QUERY: 4}, "use_dora: DoRA"),
    "no LoRA": ({"peft_type": "IA3"}, {QUERY: 4}, "of the kind 'IA3'"),
    "no such module": (
        {},
        {QUERY: 4, "model.layers.0.self_attn.z_proj": 4},
        r"z_proj.weight has no place in a llama model",
    ),
}


@pytest.mark.parametrize(("config", "modules", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_converted_is_said(base, tmp_path, monkeypatch, config, modules, message):
    monkeypatch.setitem(SIZES, "model.layers.0.self_attn.z_proj", (32, 32))
    folder = write_peft(tmp_path / "peft", halves(modules), **config)
    with pytest.raises(LlamakitError, match=message):
        plan_lora(folder, base, OUTPUT_TYPES["f32"])


def test_a_tensor_that_was_trained_whole_is_refused(base, tmp_path):
    arrays = halves({QUERY: 4}) | {"base_model.model.lm_head.weight": np.zeros((262, 32), np.float32)}
    with pytest.raises(ModelError, match=r"lm_head.weight is neither lora_A nor lora_B"):
        plan_lora(write_peft(tmp_path / "peft", arrays), base, OUTPUT_TYPES["f32"])


def test_a_half_that_is_missing_is_named(base, tmp_path):
    arrays = {name: array for name, array in halves({QUERY: 4}).items() if "lora_B" not in name}
    with pytest.raises(ModelError, match="q_proj has no lora_B"):
        plan_lora(write_peft(tmp_path / "peft", arrays), base, OUTPUT_TYPES["f32"])


def test_the_head_of_a_tied_model_has_no_place(tmp_path):
    base = write_folder(tmp_path / "tied", {"tie_word_embeddings": True})
    folder = write_peft(tmp_path / "peft", halves({QUERY: 4, HEAD: 4}))
    with pytest.raises(ModelError, match="the head is the embedding in this model"):
        plan_lora(folder, base, OUTPUT_TYPES["f32"])


def test_pickled_adapters_are_read_on_request(base, tmp_path, capsys):
    folder, array = tmp_path / "peft", np.ones((4, 32), np.float32)
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG))
    out = io.BytesIO()
    names = [f"base_model.model.{QUERY}.lora_{half}.weight" for half in "AB"]
    _TorchPickler(out, 2).dump(dict(zip(names, (array, array.T), strict=True)))
    write_pickle(folder / "adapter_model.bin", out.getvalue(), {"0": array.tobytes()})
    command = ["convert-lora", str(folder), "--base", str(base), "--outfile", str(tmp_path / "a.gguf")]
    assert run(command) == 2
    assert "--allow-pickle" in capsys.readouterr().err
    assert run([*command, "--outtype", "auto", "--allow-pickle"]) == 0
    with GGUFReader(tmp_path / "a.gguf") as reader:
        assert [t.name for t in reader.tensors] == [f"blk.0.attn_q.weight.lora_{half}" for half in "ab"]


def test_the_command_writes_the_file_and_says_so(base, tmp_path, capsys):
    folder = write_peft(tmp_path / "peft", halves({QUERY: 4, DOWN: 4}))
    assert run(["convert-lora", str(folder), "--base", str(base), "--outtype", "f16"]) == 0
    assert capsys.readouterr().out.startswith(f"{folder / 'peft-F16.gguf'}: 2 tensors")
    adapter = load_adapter(folder / "peft-F16.gguf")
    assert (adapter.alpha, sorted(adapter.pairs)) == (8.0, ["blk.0.attn_q.weight", "blk.1.ffn_down.weight"])


def test_a_base_that_is_not_there_is_asked_for(tmp_path, capsys):
    folder = write_peft(tmp_path / "peft", halves({QUERY: 4}), base_model_name_or_path="")
    assert run(["convert-lora", str(folder)]) == 1
    assert "--base" in capsys.readouterr().err
