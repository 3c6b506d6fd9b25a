"""Mistral's own format: the same file as of the same model in transformers' format, but for what tells of it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamakit.convert.plan import OUTPUT_TYPES, Plan, Source, make_plan, metadata, plain_values
from llamakit.convert.vocabulary.files import TokenizerFiles
from llamakit.core.vocab.base import load_vocab
from llamakit.errors import ModelError, VocabError

from .folders import safetensors_bytes, tensors, write_folder

PARAMS: dict[str, Any] = {
    "dim": 32, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "head_dim": 8, "hidden_dim": 64, "norm_eps": 1e-5,
    "rope_theta": 10000.0, "vocab_size": 262, "max_seq_len": 128,
}  # fmt: skip
NAMES = {
    "model.embed_tokens": "tok_embeddings", "model.norm": "norm", "lm_head": "output", "model.layers": "layers",
    "input_layernorm": "attention_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attention.wq",
    "self_attn.k_proj": "attention.wk", "self_attn.v_proj": "attention.wv", "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1", "mlp.down_proj": "feed_forward.w2", "mlp.up_proj": "feed_forward.w3",
}  # fmt: skip


def native_tensors() -> dict[str, np.ndarray]:
    """The tiny model's tensors under Mistral's names, heads turning by neighbours."""
    found = {}
    for name, array in tensors().items():
        if ".q_proj" in name or ".k_proj" in name:
            array = array.reshape(-1, 2, 4, 32).swapaxes(1, 2).reshape(array.shape)  # heads of 2 halves of 4 pairs
        for theirs, ours in NAMES.items():
            name = name.replace(theirs, ours)
        found[name] = np.ascontiguousarray(array)
    return found


def tekken(version: str = "v3") -> dict[str, Any]:
    texts = [bytes([byte]) for byte in range(256)] + [b"th", b"the"]
    vocab = [{"rank": i, "token_bytes": base64.b64encode(raw).decode()} for i, raw in enumerate(texts)]
    control = [{"rank": i, "token_str": text, "is_control": True} for i, text in enumerate(("<unk>", "<s>", "</s>"))]
    numbers = {"default_vocab_size": 262, "default_num_special_tokens": 4, "num_vocab_tokens": 258}
    return {
        "config": {"pattern": r"[a-z]+|[^a-z]+", "version": version, **numbers},
        "vocab": vocab,
        "special_tokens": control,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "Tiny-Instruct"
    folder.mkdir()
    (folder / "params.json").write_text(json.dumps(PARAMS))
    (folder / "consolidated.safetensors").write_bytes(safetensors_bytes(native_tensors()))
    (folder / "tekken.json").write_text(json.dumps(tekken()))
    return folder


def plan_of(folder: Path, **settings: bool) -> Plan:
    source = Source.open(folder, **settings)
    return make_plan(source, metadata(source), OUTPUT_TYPES["f32"])


def test_the_file_is_that_of_the_other_format(folder: Path, tmp_path: Path) -> None:
    native = plan_of(folder, is_mistral=True)
    other = plan_of(write_folder(tmp_path / "hf", {"head_dim": 8}))
    weights = {planned.name: planned.weight.load() for planned in other.weights}
    assert {planned.name for planned in native.weights} == set(weights)
    assert all(np.array_equal(planned.weight.load(), weights[planned.name]) for planned in native.weights)
    own = ("llama.", "general.architecture", "general.file_type")
    ours, theirs = ({k: v for k, v in plan.keys.items() if k.startswith(own)} for plan in (native, other))
    assert ours == theirs


def test_tekken_by_rank_of_what_parts_make(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    keys = plain_values(plan_of(folder, is_mistral=True).keys)
    vocab = load_vocab(keys)
    assert vocab.encode("the he", add_special=True) == [1, 4 + 257, 4 + 32, 4 + 104, 4 + 101]
    assert (vocab.bos_id, vocab.eos_id, vocab.unk_id, vocab.texts[3]) == (1, 2, 0, "<SPECIAL_3>")
    assert keys["tokenizer.ggml.merges"] == ["t h", "th e"]
    assert keys["tokenizer.chat_template"] == "mistral-v3-tekken"
    assert [record.getMessage()[:40] for record in caplog.records] == ["the tokenizer cuts texts by rules of its"]


@pytest.mark.parametrize("version, words", [("v11", "no chat template"), ("v7", "")])
def test_templates_by_version(version: str, words: str, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "tekken.json").write_text(json.dumps(tekken(version)))
    keys = plan_of(folder, is_mistral=True).keys
    assert keys.get("tokenizer.chat_template") == (None if words else f"mistral-{version}-tekken")
    assert words in caplog.text
    assert "tokenizer.chat_template" not in plan_of(folder, is_mistral=True, has_named_template=False).keys
    (folder / "chat_template.jinja").write_text("J")
    assert plan_of(folder, is_mistral=True).keys["tokenizer.chat_template"] == "J"


def test_the_newest_sentencepiece_model_is_taken(tmp_path: Path) -> None:
    for name in ("tokenizer.model", "tokenizer.model.v3", "tokenizer.model.v11", "tokenizer.model.v7m1"):
        (tmp_path / name).touch()
    path = TokenizerFiles(tmp_path, is_mistral=True).sentencepiece_path
    assert path is not None and path.name == "tokenizer.model.v11"
    path = TokenizerFiles(tmp_path).sentencepiece_path
    assert path is not None and path.name == "tokenizer.model"


def test_tekken_where_there_is_no_other_tokenizer(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "hf")
    (folder / "tekken.json").write_text(json.dumps(tekken()))
    assert TokenizerFiles(folder).tekken_path is None
    (folder / "tokenizer.json").unlink()
    assert metadata(Source.open(folder, has_weights=False))["tokenizer.ggml.tokens"][4 + 257] == "the"


def test_longer_contexts_make_another_architecture(folder: Path) -> None:
    yarn = {"factor": 16, "beta": 32, "alpha": 1, "apply_scale": False, "original_max_position_embeddings": 64}
    scaling = {"original_max_position_embeddings": 64, "beta": 0.1}
    (folder / "params.json").write_text(json.dumps({**PARAMS, "yarn": yarn, "llama_4_scaling": scaling}))
    keys = plan_of(folder, is_mistral=True).keys
    assert keys["general.architecture"] == "mistral3"
    found = {key.removeprefix("mistral3."): value for key, value in keys.items()}
    assert found["attention.temperature_scale"] == 0.1
    assert [found[f"rope.scaling.{key}"] for key in ("type", "factor", "yarn_log_multiplier")] == ["yarn", 16.0, 1.0]


def test_float8_with_the_names_of_this_format(folder: Path) -> None:
    codes = {name: np.full(array.shape, 0x38, np.uint8) for name, array in native_tensors().items()}  # all ones
    scales = {f"layers.0.attention.wo.{part}": np.full(1, 0x40, np.uint8) for part in ("qscale_weight", "qscale_act")}
    (folder / "consolidated.safetensors").write_bytes(safetensors_bytes(codes | scales, "F8_E4M3"))
    (folder / "params.json").write_text(json.dumps({**PARAMS, "quantization": {"qformat_weight": "fp8_e4m3"}}))
    plan = plan_of(folder, is_mistral=True)
    weights = {planned.name: planned.weight for planned in plan.weights}
    assert np.all(weights["blk.0.attn_output.weight"].load() == 2)
    assert np.all(weights["blk.1.attn_output.weight"].load() == 1)
    assert not plan.unknown


@pytest.mark.parametrize(
    "change, words",
    [
        ({"config": {}}, "no sound numbers of tokens"),
        ({"vocab": [{"rank": 0, "token_bytes": "AA=="}]}, "no list of 258 tokens"),
        ({"vocab": [{"rank": 0, "token_bytes": "*"}] * 258}, "no token_bytes in base 64"),
        ({"vocab": [{"rank": 0, "token_bytes": "AA=="}] * 258}, "not in order of rank"),
        ({"special_tokens": [{"token_str": 7}]}, "one has no text"),
        ({"special_tokens": [{"token_str": f"{i}"} for i in range(9)]}, "more than 4"),
    ],
)
def test_fault_48_a_tekken_file_that_makes_no_sense(change: dict[str, Any], words: str, folder: Path) -> None:
    (folder / "tekken.json").write_text(json.dumps({**tekken(), **change}))
    with pytest.raises(VocabError, match=words):
        plan_of(folder, is_mistral=True)


def test_what_is_missing_or_unknown_is_named(folder: Path) -> None:
    (folder / "params.json").write_text(json.dumps({**PARAMS, "quantization": {"qformat_weight": "int3"}}))
    with pytest.raises(ModelError, match="quantized as 'int3'"):
        Source.open(folder, is_mistral=True)
    (folder / "consolidated.safetensors").unlink()
    (folder / "params.json").write_text(json.dumps(PARAMS))
    with pytest.raises(ModelError, match=r"no consolidated\*\.safetensors"):
        Source.open(folder, is_mistral=True)
    (folder / "params.json").unlink()
    with pytest.raises(ModelError, match=r"params\.json: no such file"):
        Source.open(folder, is_mistral=True)
