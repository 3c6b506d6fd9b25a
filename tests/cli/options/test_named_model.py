"""A model that stands alone on the command line."""

from __future__ import annotations

import pytest

from llamakit.cli.options.named_model import NamedModelOptions
from llamakit.cli.parsing.reader import InvalidArgument


def test_a_name_alone_is_the_model():
    assert NamedModelOptions(name="a.gguf").spec == "a.gguf"
    assert NamedModelOptions(model="b.gguf").spec == "b.gguf"
    assert NamedModelOptions(model="a.gguf", name="a.gguf").spec == "a.gguf"


@pytest.mark.parametrize("other", [{"model": "b.gguf"}, {"hf_repo": "me/b"}, {"model_url": "https://b/c.gguf"}])
def test_two_models_are_one_too_many(other):
    with pytest.raises(InvalidArgument, match=r"a\.gguf: .* names another model"):
        _ = NamedModelOptions(name="a.gguf", **other).spec


def test_the_environment_gives_way_to_the_name(monkeypatch):
    monkeypatch.setenv("LLAMA_ARG_MODEL", "b.gguf")
    assert NamedModelOptions(model="b.gguf", name="a.gguf").spec == "a.gguf"
