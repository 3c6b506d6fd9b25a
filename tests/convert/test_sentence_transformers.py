"""Poolings, dense layers, classifiers and rerankers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamakit.convert.fit import problems
from llamakit.convert.plan import Source
from llamakit.errors import ModelError

from .families.layouts import LAYOUTS, arrays
from .folders import safetensors_bytes, write_folder


def open_layout(
    name: str, folder: Path, changes: dict[str, Any] | None = None, files: dict[str, Any] | None = None
) -> Source:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**LAYOUTS[name]["config"], **(changes or {})}))
    (folder / "model.safetensors").write_bytes(safetensors_bytes(dict(arrays(LAYOUTS[name]["tensors"]))))
    for path, content in (files or {}).items():
        (folder / path).parent.mkdir(exist_ok=True)
        is_raw = isinstance(content, bytes)
        (folder / path).write_bytes(content if is_raw else json.dumps(content).encode())
    return Source.open(folder)


def modules(**paths: str) -> list[dict[str, str]]:
    return [{"path": path, "type": f"sentence_transformers.models.{kind}"} for kind, path in paths.items()]


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"pooling_mode_mean_tokens": True}, 1),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, 2),
        ({"pooling_mode": "lasttoken"}, 3),
    ],
)
def test_the_pooling_is_that_of_the_module(settings: dict[str, Any], wanted: int, tmp_path: Path) -> None:
    files = {"modules.json": modules(Pooling="0_P"), "0_P/config.json": settings}
    assert open_layout("neobert", tmp_path / "a", files=files).family.keys()["neo-bert.pooling_type"] == 2
    source = open_layout("nomic1", tmp_path / "b", files=files)
    assert source.family.keys()["nomic-bert.pooling_type"] == wanted


def misfits(source: Source) -> list[str]:
    keys = {"general.architecture": source.family.gguf_arch, **source.family.keys()}
    return problems(source.family, keys, source.mapped.weights)


@pytest.mark.parametrize("is_causal, arch", [(True, "gemma3"), (False, "gemma-embedding")])
def test_gemma_3_without_a_head_is_causal_unless_its_config_says_otherwise(
    is_causal: bool, arch: str, tmp_path: Path
) -> None:
    files = {"modules.json": modules(Pooling="0_P"), "0_P/config.json": {"pooling_mode": "lasttoken"}}
    source = open_layout("embgemma", tmp_path, {"use_bidirectional_attention": not is_causal}, files)
    assert source.family.gguf_arch == arch and source.family.keys()[f"{arch}.pooling_type"] == 3
    assert misfits(source) == []


def test_eurobert_leaves_the_head_of_its_training_out(tmp_path: Path) -> None:
    tensors = {**dict(arrays(LAYOUTS["eurobert"]["tensors"])), "lm_head.weight": np.zeros((512, 64), np.float32)}
    files = {"model.safetensors": safetensors_bytes(tensors)}
    source = open_layout("eurobert", tmp_path, {"architectures": ["EuroBertForMaskedLM"]}, files)
    assert source.mapped.left_out == ["lm_head.weight"]
    assert misfits(source) == []


def test_a_pooling_that_gguf_has_not_is_refused(tmp_path: Path) -> None:
    files = {"modules.json": modules(Pooling="1_P"), "1_P/config.json": {"pooling_mode_max_tokens": True}}
    with pytest.raises(ModelError, match="another way than mean, cls or last"):
        open_layout("nomic1", tmp_path, files=files).family.keys()


def test_modules_outside_the_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="inside the folder"):
        open_layout("nomic1", tmp_path, files={"modules.json": modules(Pooling="../other")}).family.keys()


def dense_files(activation: str) -> dict[str, Any]:
    tensors = {"linear.weight": np.ones((96, 64), np.float32), "linear.bias": np.ones(96, np.float32)}
    settings = {"in_features": 64, "out_features": 96, "activation_function": activation}
    return {
        "modules.json": modules(Dense="2_Dense"),
        "2_Dense/config.json": settings,
        "2_Dense/model.safetensors": safetensors_bytes(tensors),
    }


def test_dense_layers_follow_the_pooling(tmp_path: Path) -> None:
    source = open_layout("embgemma", tmp_path, files=dense_files("torch.nn.modules.linear.Identity"))
    keys, weights = source.family.keys(), source.mapped.weights
    assert (keys["gemma-embedding.dense_2_feat_in"], keys["gemma-embedding.dense_2_feat_out"]) == (64, 96)
    assert (weights["dense_2.weight"].shape, weights["dense_2.bias"].shape) == ((96, 64), (96,))


def test_dense_layers_with_an_activation_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Tanh"):
        open_layout("embgemma", tmp_path, files=dense_files("torch.nn.modules.activation.Tanh"))


def test_a_classifier_brings_the_layer_before_it_and_its_labels_in_order(tmp_path: Path) -> None:
    labels = {str(i): f"label {i}" for i in (10, 9, 2)}
    source = open_layout("bert-cls", tmp_path, {"id2label": labels})
    assert {"cls.weight", "cls.bias", "cls.output.weight", "cls.output.bias"} <= set(source.mapped.weights)
    keys = source.family.keys()
    assert keys["bert.pooling_type"] == 4
    assert keys["bert.classifier.output_labels"] == ["label 2", "label 9", "label 10"]


def test_a_reranker_keeps_the_heads_rows_of_yes_and_no(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path / "Qwen3-Reranker-tiny", {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}
    )
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"] |= {"yes": 7, "no": 5}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    source = Source.open(folder)
    head = np.asarray(source.checkpoint.weight("lm_head.weight").load())
    assert np.array_equal(source.mapped.weights["cls.output.weight"].load(), head[[7, 5]])
    assert "output.weight" not in source.mapped.weights
    keys = source.family.keys()
    assert (keys["qwen3.pooling_type"], keys["qwen3.classifier.output_labels"]) == (4, ["yes", "no"])
    assert "{query}" in keys["tokenizer.chat_template.rerank"]
