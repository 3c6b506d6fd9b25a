"""Applications without a model, behind real sockets."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httptools")
uvicorn = pytest.importorskip("uvicorn")

from llamakit.server.operations.connections import protocol_class  # noqa: E402
from llamakit.server.operations.limits import Limits  # noqa: E402

Address = tuple[str, int] | str  # of the loopback, or a path


@contextlib.contextmanager
def listening(app, limits: Limits, path: Path | None = None) -> Iterator[Address]:
    """Where an ASGI application answers: a free port, or the path of a UNIX socket."""
    with socket.socket() if path is None else socket.socket(socket.AF_UNIX) as server:
        server.bind(("127.0.0.1", 0) if path is None else str(path))
        config = uvicorn.Config(app, http=protocol_class(limits), log_level="critical", lifespan="off")
        web = uvicorn.Server(config)
        thread = threading.Thread(target=web.run, args=([server],))
        thread.start()
        while not web.started:
            time.sleep(0.01)
        try:
            yield server.getsockname()
        finally:
            web.should_exit = True
            thread.join()


def send(address: Address, data: bytes, timeout: float = 10) -> bytes:
    """Everything that is answered to raw bytes, until the server closes or is silent for half a second."""
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as client:
        client.settimeout(timeout)
        client.connect(address)
        with contextlib.suppress(OSError):  # the server may have closed before it took all
            client.sendall(data)
        return received(client)


def received(client: socket.socket) -> bytes:
    parts = []
    with contextlib.suppress(OSError):
        while part := client.recv(1 << 16):
            parts.append(part)
            client.settimeout(0.5)
    return b"".join(parts)
