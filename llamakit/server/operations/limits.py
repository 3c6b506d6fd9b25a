"""How long a client may take, and how much it may send."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Times in seconds, sizes in bytes."""

    body: int = 32 * MIB
    headers: int = 64 << 10
    header_time: float = 20.0  # until the headers of a request are complete
    body_time: float = 60.0  # until its body is
    write_time: float = 60.0  # until a client takes more of its reply
    n_connections: int = 4096


class BodyReader:
    """`receive` of a request, which raises HTTPException when its body is too long or takes too much time."""

    def __init__(self, receive: Receive, headers: Headers, limits: Limits) -> None:
        self._receive, self._limits = receive, limits
        self._length = int(headers.get("content-length") or 0)
        self._n_read, self._is_whole = 0, False
        self._deadline: float | None = None  # in the loop's time; counted from when the body is asked for

    async def __call__(self) -> Message:
        if self._is_whole:  # what comes is that the client goes
            return await self._receive()
        if self._length > self._limits.body:
            raise self._too_long()
        message = await self._in_time()
        self._n_read += len(message.get("body", b""))
        if self._n_read > self._limits.body:
            raise self._too_long()
        self._is_whole = message["type"] == "http.disconnect" or not message.get("more_body", False)
        return message

    async def _in_time(self) -> Message:
        now = asyncio.get_running_loop().time()
        if self._deadline is None:
            self._deadline = now + self._limits.body_time
        try:
            return await asyncio.wait_for(self._receive(), max(self._deadline - now, 0.001))
        except asyncio.TimeoutError:  # another class before Python 3.11
            message = f"the body did not come within {self._limits.body_time:g} seconds"
            raise HTTPException(408, message, {"Connection": "close"}) from None

    def _too_long(self) -> HTTPException:
        limit = self._limits.body
        message = f"the body is longer than {limit} bytes ({limit / MIB:g} MiB), the most that is taken"
        return HTTPException(413, message, {"Connection": "close"})
