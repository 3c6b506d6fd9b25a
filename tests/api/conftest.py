"""`Llama` with a tiny model."""

from __future__ import annotations

import pytest

from llamakit.api.llama import Llama
from tests.api.model import TINY
from tests.tiny import write_tiny


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", TINY)


@pytest.fixture
def llm(path):
    with Llama(path, n_ctx=64, seed=1, verbose=False) as llm:
        yield llm


@pytest.fixture
def llm_all(path):
    with Llama(path, n_ctx=64, logits_all=True, verbose=False) as llm:
        yield llm
