"""Messages between two processes of ours: a length of four bytes, then a pickle."""

from __future__ import annotations

import pickle
import socket
from collections.abc import Iterator
from typing import Any

N_LENGTH = 4


def frame(message: object) -> bytes:
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return len(data).to_bytes(N_LENGTH, "little") + data


class Frames:
    """Puts received bytes together."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def push(self, data: bytes) -> Iterator[Any]:
        """The messages that are complete now."""
        held = self._bytes
        held += data
        begin = 0
        while len(held) - begin >= N_LENGTH:
            end = begin + N_LENGTH + int.from_bytes(held[begin : begin + N_LENGTH], "little")
            if len(held) < end:
                break
            message = pickle.loads(memoryview(held)[begin + N_LENGTH : end])
            begin = end
            yield message
        del held[:begin]


def receive(connection: socket.socket) -> Iterator[Any]:
    """Messages until the other end is closed."""
    frames = Frames()
    while data := connection.recv(1 << 16):
        yield from frames.push(data)
