"""API keys: who may send requests."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import sha256

from starlette.datastructures import Headers

WATCHED = {"/health", "/v1/health", "/ready", "/live", "/ping"}  # for whoever watches the server


class ApiKeys:
    """Keys, one of which a request must have. How long a wrong one takes says nothing about the right ones."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [sha256(key.encode()).digest() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def tenant(self, headers: Headers) -> str | None:
        """A name for the key that the headers hold, which does not tell the key; None where it is none of ours."""
        given = sha256(key_of(headers).encode("utf-8", "surrogateescape")).digest()
        is_known = False
        for digest in self._digests:
            is_known |= hmac.compare_digest(digest, given)
        return given.hex()[:16] if is_known else None


def key_of(headers: Headers) -> str:
    """As OpenAI's clients send it (a bearer token), or as Anthropic's do."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    return headers.get("x-api-key", "") or scheme
