"""`llamakit server` as a process of its own, and what a test does to it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 120.0  # seconds: other processes may be busy


@dataclass
class ServerProcess:
    process: subprocess.Popen[bytes]
    log: Path
    port: int = 0

    def ask(self, path: str, body: Any = None, method: str | None = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON."""
        connection = self.connect()
        try:
            data = None if body is None else json.dumps(body)
            sent = {"Content-Type": "application/json", **headers}
            connection.request(method or ("GET" if data is None else "POST"), path, data, sent)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        finally:
            connection.close()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def stream(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Events of /completion, as they come."""
        connection = self.connect()
        try:
            connection.request(
                "POST", "/completion", json.dumps({"stream": True, **body}), {"Content-Type": "application/json"}
            )
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            for line in answer:
                if line.startswith(b"data:"):
                    yield json.loads(line[5:])
        finally:
            connection.close()

    @property
    def engine(self) -> int:
        """The process number of the engine's process."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def health(self) -> int:
        try:
            return self.ask("/health")[0]
        except OSError:
            return 0

    def wait_until_ready(self) -> None:
        wait_until(lambda: self.health() == 200 or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text()

    def end(self, number: int = signal.SIGTERM) -> int:
        """The exit code after a signal."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def wait_until(is_true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not is_true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@contextmanager
def server_process(
    *args: str | Path, is_ready: bool = True, n_files: int | None = None, **environment: str
) -> Iterator[ServerProcess]:
    """A server on a free port; `n_files` is how many files it may have open."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "llamakit", "server", "--port", "0", *map(str, args)]
        if n_files is not None:
            command = ["sh", "-c", f'ulimit -n {n_files}; exec "$@"', "sh", *command]
        with log.open("wb") as stream:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env={**os.environ, **environment}
            )
        server = ServerProcess(process, log)
        try:
            wait_until(lambda: "listening on" in log.read_text() or process.poll() is not None)
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text()):
                server.port = int(found[1])
            if is_ready:
                server.wait_until_ready()
            yield server
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(PATIENCE)
