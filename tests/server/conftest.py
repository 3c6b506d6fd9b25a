"""A tiny model behind a real HTTP server."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass

import pytest

from llamakit.core.engine.load import load_model
from llamakit.core.engine.scheduler import Scheduler

from ..core.vocab.vocabs import spm_metadata
from ..running import open_context
from ..tiny import Tiny, write_tiny


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    keys = spm_metadata()
    tiny = Tiny(n_vocab=len(keys["tokenizer.ggml.tokens"]), metadata=keys)
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", tiny)


@pytest.fixture(scope="module")
def scheduler(path):
    with open_context(path, n_seq_max=3) as context:
        with Scheduler(context, load_model(path).vocab, n_queue_max=64) as scheduler:
            yield scheduler


@dataclass(frozen=True)
class Running:
    url: str
    scheduler: Scheduler


@pytest.fixture(scope="module")
def server(scheduler):
    """Where it listens; skipped without the packages of the extra `server`."""
    pytest.importorskip("fastapi")
    uvicorn = pytest.importorskip("uvicorn")
    from llamakit.core.chat.load import load_template
    from llamakit.server.app import create_app
    from llamakit.server.served import Served

    served = Served("tiny", scheduler, load_template({}, scheduler.vocab))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        web = uvicorn.Server(uvicorn.Config(create_app(served), log_level="warning", lifespan="off"))
        thread = threading.Thread(target=web.run, args=([listening],))
        thread.start()
        while not web.started:
            time.sleep(0.01)
        yield Running(f"http://127.0.0.1:{listening.getsockname()[1]}", scheduler)
        web.should_exit = True
        thread.join()
