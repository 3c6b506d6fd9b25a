"""A tiny chat model behind a real HTTP server; `serving.py` for other settings."""

from __future__ import annotations

import pytest

from llamakit.core.engine.load import load_model
from llamakit.core.engine.scheduler.scheduler import Scheduler

from ..core.vocab.vocabs import spm_metadata
from ..running import open_context
from ..tiny import Tiny, write_tiny


@pytest.fixture(scope="session")
def path(tmp_path_factory):
    """A GGUF file of random weights; it is chatted with in ChatML."""
    keys = spm_metadata()
    tiny = Tiny(n_vocab=len(keys["tokenizer.ggml.tokens"]), metadata=keys)
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", tiny)


@pytest.fixture(scope="module")
def scheduler(path):
    with open_context(path, n_seq_max=3) as context:
        with Scheduler(context, load_model(path).vocab, n_queue_max=64) as scheduler:
            yield scheduler


@pytest.fixture(scope="module")
def server(scheduler):
    """A Running server (see `serving.py`); skipped without the packages of the extra `server`."""
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    from .serving import serving

    with serving(scheduler) as running:
        yield running


@pytest.fixture(scope="session")
def scripted_server():
    """A Scripted server (see `scripted.py`) for the whole session."""
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    from .scripted import scripted

    with scripted() as server:
        yield server


@pytest.fixture
def scripted(scripted_server):
    """It says `Hello` unless a test has it say something else."""
    scripted_server.says("Hello")
    return scripted_server
