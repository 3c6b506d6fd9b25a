"""Starts an engine's process, with nothing else imported: it gets under way while the web process still wakes up."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass

from llamakit.server.engine.frames import frame
from llamakit.server.operations.logs import inherited


@dataclass
class Spawned:
    """A process that waits for its settings, and our end of the pair of sockets that leads to it."""

    process: subprocess.Popen[bytes]
    connection: socket.socket

    def load(self, settings: object) -> None:
        """Let it begin to load the model of these ModelSettings."""
        with suppress(OSError):  # it has ended already: that will be noticed
            self.connection.sendall(frame(settings))


def spawn() -> Spawned:
    """To be called by the main thread: the process ends with the thread that has started it."""
    ours, its = socket.socketpair()
    command = [sys.executable, "-m", "llamakit.server.engine.worker", str(its.fileno()), inherited()]
    with its:
        process = subprocess.Popen(command, pass_fds=[its.fileno()], stdin=subprocess.DEVNULL)
    return Spawned(process, ours)
