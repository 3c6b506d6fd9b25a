"""The tiny model that all tests of the scheduler serve."""

from __future__ import annotations

import pytest

from llamakit.core.engine.load import load_model

from ....tiny import Tiny, write_tiny
from ...vocab.vocabs import spm_metadata


@pytest.fixture(scope="session")
def path(tmp_path_factory):
    keys = spm_metadata()
    tiny = Tiny(n_vocab=len(keys["tokenizer.ggml.tokens"]), metadata=keys)
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", tiny)


@pytest.fixture(scope="session")
def vocab(path):
    return load_model(path).vocab
