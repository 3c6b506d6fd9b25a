"""Vocabularies of checkpoints: the same ids as the tokenizers library gives for the folder's own file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from llamakit.convert.config import Config
from llamakit.convert.plan import Source, metadata
from llamakit.convert.vocabulary.files import TokenizerFiles
from llamakit.convert.vocabulary.keys import vocabulary_keys
from llamakit.convert.vocabulary.pretokenizer import _BY_TEXT, NAMES, Found, find_pretokenizer
from llamakit.core.vocab.base import load_vocab
from llamakit.core.vocab.pretokenizers import split_rule

from .folders import write_folder

SHARED = Path(__file__).parents[3] / "shared"
GOLDEN = ("golden/hf/llama3-rope", "golden/hf/qwen2", "golden/hf/llama", "golden/hf/bert", "assets/tiny-gpt2-hf")
FOLDERS = [SHARED / name for name in GOLDEN]
TEXTS = [
    "Hello, World! It's 3.14159 o'clock\n\n  don't   WE'LL\t\ttabs",
    "Ünïcödé naïve 漢字かな 한국어 🙂👍🏽 العربية",
    "def f(x):\n    return x**2  # comment\r\n",
    " leading, trailing  ",
    "1234567890 12 345",
]
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the golden checkpoints lie outside the repository")
# Rules that cut the text of traps as others do: the better known name is found.
LIKE = {"bailingmoe": "qwen2", "minicpm5": "llama-bpe"}


def keys_of(folder: Path) -> dict[str, Any]:
    config = Config(folder / "config.json", json.loads((folder / "config.json").read_text()))
    keys = vocabulary_keys(TokenizerFiles(folder), config, None)
    return {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in keys.items()}


def assert_same_ids(folder: Path) -> None:
    vocab, wanted = load_vocab(keys_of(folder)), Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text in TEXTS:
        ids = wanted.encode(text, add_special_tokens=False).ids
        own = list(vocab.encode(text, add_special=False))
        # BERT's special tokens belong to its algorithm.
        assert (own[1:-1] if vocab.kind == "bert" and own[:1] != ids[:1] else own) == ids, text


@needs_shared
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_ids_are_those_of_the_folders_tokenizer(folder: Path) -> None:
    assert_same_ids(folder)


@needs_shared
def test_ids_are_the_same_without_the_sentencepiece_file(tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(SHARED / "golden/hf/llama" / name, tmp_path)
    assert keys_of(tmp_path)["tokenizer.ggml.model"] == "llama"
    assert_same_ids(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_rules_are_found_by_what_they_do(name: str, tmp_path: Path) -> None:
    """However they are spelt: here, each in a group of its own."""
    folder = write_folder(tmp_path / "tiny")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": f"(?:{rule})"}, "behavior": "Isolated", "invert": False}
            for rule in split_rule(name).patterns
        ],
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert find_pretokenizer(TokenizerFiles(folder)).name == LIKE.get(name, name)


@pytest.mark.parametrize("rule, name", list(_BY_TEXT.items()))
def test_well_known_expressions_have_their_name_and_are_written_too(
    rule: str, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """llama.cpp's rules of these names leave out combining marks."""
    folder = write_folder(tmp_path / "tiny")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["pre_tokenizer"] = {"type": "Split", "pattern": {"Regex": rule}, "behavior": "Isolated", "invert": False}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert find_pretokenizer(TokenizerFiles(folder)) == Found(name, (rule,))
    assert not caplog.records


def test_templates_of_every_place(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny")
    settings = {"chat_template": [{"name": "default", "template": "D"}, {"name": "tool_use", "template": "T"}]}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    keys = keys_of(folder)
    assert keys["tokenizer.chat_template"] == "D"
    assert keys["tokenizer.chat_template.tool_use"] == "T"
    assert keys["tokenizer.chat_templates"] == ["tool_use"]
    (folder / "chat_template.jinja").write_text("J")
    assert keys_of(folder)["tokenizer.chat_template"] == "J"


@pytest.mark.parametrize(
    "template, added, eos",
    [
        ((["<s>"], ["</s>"]), {"bos": True, "eos": True}, 259),
        ((["<s>"], []), {"bos": True}, 259),
        (([], ["<|im_end|>"]), {"eos": True}, 260),
    ],
)
def test_what_is_put_around_a_text(template: Any, added: dict[str, bool], eos: int, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    special = [[{"SpecialToken": {"id": text, "type_id": 0}} for text in texts] for texts in template]
    single = [*special[0], {"Sequence": {"id": "A", "type_id": 0}}, *special[1]]
    tokenizer["post_processor"] = {"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": {}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    keys = keys_of(folder)
    prefix = "tokenizer.ggml."
    assert {role: keys[f"{prefix}add_{role}_token"] for role in added} == added
    assert keys[f"{prefix}eos_token_id"] == eos
    assert (f"{prefix}eot_token_id" in keys) == (eos == 260)  # what the config calls the end still ends


def test_golden_strings_are_the_ids_of_the_checkpoints_tokenizer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_folder(tmp_path / "tiny")
    keys = metadata(Source.open(folder))
    wanted = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = [wanted.encode(text, add_special_tokens=False).ids for text in keys["llamakit.golden.texts"]]
    assert keys["llamakit.golden.ids"] == [token for tokens in ids for token in tokens]
    assert keys["llamakit.golden.counts"] == [len(tokens) for tokens in ids]
    assert not caplog.records


def test_a_vocabulary_that_gguf_cannot_say_is_told_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_folder(tmp_path / "tiny")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["normalizer"] = {"type": "Replace", "pattern": {"String": "!"}, "content": "?"}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    metadata(Source.open(folder))
    (record,) = caplog.records
    assert "the vocabulary of the file is not the checkpoint's: \"Hello, world!" in record.getMessage()


@needs_shared
def test_golden_strings_by_sentencepiece_where_there_is_no_json(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("config.json", "tokenizer.model", "tokenizer_config.json", "model.safetensors", "tokenizer.json"):
        shutil.copy(SHARED / "golden/hf/llama" / name, tmp_path)
    by_tokenizers = metadata(Source.open(tmp_path))
    (tmp_path / "tokenizer.json").unlink()
    assert metadata(Source.open(tmp_path))["llamakit.golden.ids"] == by_tokenizers["llamakit.golden.ids"]
    assert not caplog.records
