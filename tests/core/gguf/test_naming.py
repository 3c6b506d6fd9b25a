"""File names: the GGUF convention, shards, size labels."""

from __future__ import annotations

import pytest
from gguf.utility import model_weight_count_rounded_notation
from gguf.utility import size_label as size_label_of_gguf

from llamakit.core.gguf.naming import ModelName, size_label
from llamakit.core.gguf.shards import ShardName

NAMES = {
    "Mixtral-8x7B-v0.1-KQ2.gguf": ModelName("Mixtral", "8x7B", None, "v0.1", "KQ2"),
    "Grok-100B-v1.0-Q4_0-00003-of-00009.gguf": ModelName("Grok", "100B", None, "v1.0", "Q4_0", None, (3, 9)),
    "Hermes-2-Pro-Llama-3-8B-v1.0-F16.gguf": ModelName("Hermes-2-Pro-Llama-3", "8B", None, "v1.0", "F16"),
    "SmolLM2-135M-Instruct-Q4_K_M.gguf": ModelName("SmolLM2", "135M", "Instruct", None, "Q4_K_M"),
    "Phi-3-mini-3.8B-ContextLength4k-instruct-v1.0.gguf": ModelName(
        "Phi-3-mini", "3.8B-ContextLength4k", "instruct", "v1.0"
    ),
    "Llama-3-8B-Chat-v2-BF16-LoRA.gguf": ModelName("Llama-3", "8B", "Chat", "v2", "BF16", "LoRA"),
    "Gemma-3-270M-vocab.gguf": ModelName("Gemma-3", "270M", kind="vocab"),
    "Qwen3-30B-A3B-IQ2_XXS.gguf": ModelName("Qwen3", "30B", "A3B", None, "IQ2_XXS"),
    "gpt-oss-20B-MXFP4.gguf": ModelName("gpt-oss", "20B", encoding="MXFP4"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_parsed_and_composed(name):
    assert ModelName.parse(f"/models/{name}") == NAMES[name]
    assert str(NAMES[name]) == name


@pytest.mark.parametrize("name", ["not-a-known-arrangement.gguf", "8B.gguf", "Llama-8B.bin", ".gguf", "a--8B.gguf"])
def test_a_name_outside_the_convention_is_no_name(name):
    assert ModelName.parse(name) is None


def test_spaces_and_slashes_become_dashes():
    assert str(ModelName("my org/My Model", "7B", encoding="q8_0")) == "my-org-My-Model-7B-Q8_0.gguf"


@pytest.mark.parametrize("n", [0, 999, 15_000, 999_949, 134_515_008, 1_050_000_000, 9_960_000_000, 70e9, 1.5e12])
def test_size_labels_are_those_of_gguf(n):
    assert size_label(int(n)) == model_weight_count_rounded_notation(int(n))
    assert size_label(int(n), 8) == size_label_of_gguf(int(n) * 8, 0, int(n), 8)


@pytest.mark.parametrize(
    "path, name",
    [
        ("/a/b-00002-of-00010.gguf", ShardName("/a/b", 2, 10)),
        ("x-00001-of-65535.gguf", ShardName("x", 1, 65_535)),
        ("x-00000-of-00002.gguf", None),
        ("x-00003-of-00002.gguf", None),
        ("x-00001-of-70000.gguf", None),
        ("x-1-of-2.gguf", None),
        ("x.gguf", None),
    ],
)
def test_shard_names_are_parsed_and_composed(path, name):
    assert ShardName.parse(path) == name
    assert name is None or str(name) == path


def test_siblings_are_all_shards_in_order():
    assert ShardName("m", 2, 2).siblings() == ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]
