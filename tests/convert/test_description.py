"""Names, cards and what becomes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamakit.convert.card import parse_front_matter
from llamakit.convert.description import general_keys
from llamakit.convert.model_id import ModelId, parse_model_id, title
from llamakit.errors import ModelError


@pytest.mark.parametrize(
    "text, n_params, wanted",
    [
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", 0, ("mistralai", "Mixtral", "Instruct", "v0.1", "8x7B")),
        ("bigscience/bloom-7b1", 0, ("bigscience", "bloom", None, None, "7.1B")),
        ("microsoft/Phi-3-mini-4k-instruct", 3_800_000_000, ("microsoft", "Phi-3", "4k-instruct", None, "mini")),
        ("SmolLM2-135M-Instruct", 135_000_000, (None, "SmolLM2", "Instruct", None, "135M")),
        ("ernie4-5", 0, (None, "ernie4", None, "5", None)),
        ("gpt2", 0, (None, None, None, None, None)),
        ("./foo", 0, (None, None, None, None, None)),
        ("A name in words", 0, (None, None, None, None, None)),
    ],
)
def test_the_parts_of_a_models_name(text: str, n_params: int, wanted: tuple[str | None, ...]) -> None:
    name = text if " " in text else text.split("/")[-1]
    assert parse_model_id(text, n_params) == ModelId(name, *wanted)


def test_names_are_told_apart_as_by_the_reference() -> None:
    gguf = pytest.importorskip("gguf")
    ids = "Qwen/Qwen1.5-MoE-A2.7B TinyLlama/TinyLlama-1.1B-Chat-v1.0 NousResearch/Hermes-2-Pro-Llama-3-8B x-Q4_K_M"
    ids += " Yi-1.5-9B-Chat-16K gpt2-xl Model-v1.2.3 granite-3.1-3b-a800m-instruct OLMo-2-1124-7B-Instruct -a--b- 7B"
    for text in ids.split():
        for n_params in (0, 7_000_000_000, 135_000_000):
            got = parse_model_id(text, n_params)
            parts = (got.name, got.organization, got.basename, got.finetune, got.version, got.size_label)
            assert parts == gguf.Metadata.get_model_id_components(text, n_params)
        assert title(text) == gguf.Metadata.id_to_title(text)


CARD = """\
license: apache-2.0  # a comment
language:
- en
- "no"
tags: [chat, 'small model']
base_model: org/Base-1B-v2
datasets:
  - org/data
model-index:
- name: x
  results: []
description: |
  Two
  lines
""".splitlines()


def test_front_matter_of_a_card() -> None:
    assert parse_front_matter(CARD) == {
        "license": "apache-2.0",
        "language": ["en", "no"],
        "tags": ["chat", "small model"],
        "base_model": "org/Base-1B-v2",
        "datasets": ["org/data"],
        "description": "Two\nlines",
    }


def test_lists_of_base_models_are_a_key_for_each_field_in_place_of_the_cards(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nbase_model: [org/A-1B, org/B-1B]\n---\n")
    entry = {"name": "Base", "repo_url": "https://example.org/base"}
    keys = general_keys(tmp_path, "llama", None, None, {"general.base_models": [entry], "general.datasets": []})
    assert {key: value for key, value in keys.items() if key.startswith(("general.base_model", "general.dataset"))} == {
        "general.base_model.count": 1,
        "general.base_model.0.name": "Base",
        "general.base_model.0.repo_url": "https://example.org/base",
        "general.dataset.count": 0,
    }


@pytest.mark.parametrize(
    "key, value, words",
    [
        ("general.name", 5, "general.name is 5, not a text"),
        ("general.tags", "a", "not a list of texts"),
        ("general.languages", ["en", 1], "not a list of texts"),
        ("general.base_model.count", "1", "not a whole number"),
        ("general.sampling.temp", True, "not a number"),
        ("general.base_models", {"name": "a"}, "not a list of objects"),
        ("general.datasets", [{"licence": "x"}], "it can have texts under name, author"),
        ("general.architecture", "gpt2", "settled by the conversion"),
        ("name", "x", "does not begin with general"),
    ],
)
def test_what_a_key_cannot_have_is_refused(key: str, value: object, words: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=words):
        general_keys(tmp_path, "llama", None, None, {key: value})


def test_a_card_becomes_general_keys(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "README.md").write_text("\n".join(["---", *CARD, "---", "# Model"]))
    (tmp_path / "generation_config.json").write_text('{"temperature": 0.7, "top_k": 20, "do_sample": true}')
    keys = general_keys(tmp_path, "llama", None, "A Name", {"general.author": "me"})
    assert (
        keys
        | {
            "general.name": "A Name",
            "general.author": "me",
            "general.license": "apache-2.0",
            "general.tags": ["chat", "small model"],
            "general.languages": ["en", "no"],
            "general.base_model.count": 1,
            "general.base_model.0.name": "Base 1B v2",
            "general.base_model.0.version": "v2",
            "general.base_model.0.organization": "Org",
            "general.base_model.0.repo_url": "https://huggingface.co/org/Base-1B-v2",
            "general.dataset.count": 1,
            "general.sampling.temp": 0.7,
            "general.sampling.top_k": 20,
        }
        == keys
    )
