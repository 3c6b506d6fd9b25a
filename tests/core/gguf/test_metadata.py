"""Typed reading of metadata: right values pass, wrong ones are named with file, key and range."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from llamakit.core.gguf.metadata import Metadata
from llamakit.errors import ModelError

VALUES = {
    "llama.n": 7,
    "llama.big": 1 << 31,
    "llama.negative": -1,
    "llama.f": 0.5,
    "llama.nan": math.nan,
    "llama.inf": math.inf,
    "llama.zero": 0.0,
    "llama.yes": True,
    "llama.text": "x" * 1000,
    "llama.list": [1, 2, 3],
    "llama.floats": [0.5, 1],
    "llama.bools": [True, False],
    "llama.mixed": [1, True],
    "tokenizer.ggml.tokens": ["a", "b"],
}


@pytest.fixture
def meta():
    return Metadata(VALUES, "dir/m.gguf", "llama")


def test_present_values_come_in_their_type(meta):
    assert meta.int("n", min=7, max=7) == 7
    assert meta.float("f", above=0, max=0.5) == 0.5
    assert (meta.float("n"), type(meta.float("n"))) == (7.0, float)
    assert meta.bool("yes") is True
    assert meta.str("text") == "x" * 1000
    assert meta.ints("list", 3) == [1, 2, 3] == meta.ints("list")
    assert meta.ints("n", 3) == [7, 7, 7]
    assert meta.floats("floats", 2) == [0.5, 1.0]
    assert meta.bools("bools", 2) == [True, False]
    assert meta.section("tokenizer.ggml").strs("tokens") == ["a", "b"]
    assert meta.has("n") and not meta.has("tokens")


@pytest.mark.parametrize("default", [None, 5])
@pytest.mark.parametrize("name", ["int", "float", "bool", "str", "strs"])
def test_an_absent_key_gives_its_default(meta, name, default):
    assert getattr(meta, name)("absent", default) is default


@pytest.mark.parametrize("name", ["ints", "floats", "bools"])
def test_an_absent_list_gives_its_default(meta, name):
    assert getattr(meta, name)("absent", 3, default=None) is None


@pytest.mark.parametrize(
    "name, key, arguments, words",
    [
        ("int", "absent", {}, "llama.absent is missing"),
        ("int", "f", {}, r"llama.f is 0.5 \(float\); it must be a whole number"),
        ("int", "yes", {}, "True"),
        ("int", "text", {}, r"'xxx.*\.\.\. \(str\)"),
        ("int", "list", {}, "a list of 3"),
        ("int", "n", {"min": 8}, "at least 8"),
        ("int", "big", {"min": 1, "max": 512}, "at least 1 and of at most 512"),
        ("int", "negative", {"min": 0}, "-1"),
        ("float", "nan", {}, "a finite number"),
        ("float", "inf", {"above": 0}, "a finite number above 0"),
        ("float", "zero", {"above": 0}, "above 0"),
        ("float", "yes", {}, "a number"),
        ("float", "f", {"max": 0.4}, "at most 0.4"),
        ("bool", "n", {}, "true or false"),
        ("str", "n", {}, "a text"),
        ("ints", "list", {"n": 2}, "must be 2 whole numbers"),
        ("ints", "list", {"n": 3, "max": 2}, "llama.list is 3"),
        ("ints", "n", {}, "a list of whole numbers"),
        ("ints", "mixed", {"n": 2}, "True"),
        ("floats", "bools", {"n": 2}, "True"),
        ("bools", "mixed", {"n": 2}, "truth values only"),
        ("strs", "list", {}, "texts only"),
    ],
)
def test_a_wrong_value_is_named(meta, name, key, arguments, words):
    with pytest.raises(ModelError, match=words) as caught:
        getattr(meta, name)(key, **arguments)
    assert str(caught.value).startswith(f"{Path('dir/m.gguf')}: ")
    assert len(str(caught.value)) < 300


def test_fault_13_the_architecture_is_the_prefix():
    meta = Metadata.of_model({"general.architecture": "qwen3", "qwen3.n": 1}, "m.gguf")
    assert (meta.arch, meta.int("n")) == ("qwen3", 1)


@pytest.mark.parametrize(
    "mapping",
    [
        {},
        {"general.architecture": ""},
        {"general.architecture": 1},
        {"general.architecture": "a\nb"},
        {"general.architecture": "x" * 1_000_000},
    ],
)
def test_fault_13_no_architecture_or_an_odd_one_is_refused_in_few_words(mapping):
    with pytest.raises(ModelError, match=r"general\.architecture") as caught:
        Metadata.of_model(mapping, "m.gguf")
    assert len(str(caught.value)) < 200 and str(caught.value).isprintable()
