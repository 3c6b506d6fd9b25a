from __future__ import annotations

import pytest

from tests.api.model import TINY
from tests.tiny import write_tiny

import llamakit.compat  # noqa: F401  # isort: skip
import llama_cpp  # isort: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return str(write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", TINY))


@pytest.fixture
def model(path):
    model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
    yield model
    llama_cpp.llama_model_free(model)
