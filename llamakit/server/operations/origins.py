"""Which web pages may ask, and by which names the server may be called.

A browser sends requests for any page it shows. Pages of other origins are refused unless they are allowed, and so are
names that are not the server's own: a page may have its name point here (DNS rebinding).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
HOST = re.compile(r"(\[[\da-fA-F:.]+\]|[^\s\[\]@:/]+)(?::\d+)?")
ANY = "*"
LOCAL = "localhost"  # of an allowed origin: any page of this machine, whatever its port


@dataclass(frozen=True)
class Origins:
    """`hosts` are the names the server answers to, None: any. `allowed` are origins of pages, ANY or LOCAL."""

    hosts: frozenset[str] | None = LOOPBACK
    allowed: tuple[str, ...] = ()
    methods: str = "GET, POST, DELETE, OPTIONS"
    headers: str = "*"
    has_credentials: bool = True

    def knows_host(self, host: str) -> bool:
        return self.hosts is None or host_name(host) in self.hosts

    def allows(self, origin: str, host: str) -> bool:
        """May a page of this origin ask the server that it calls `host`?"""
        return urlsplit(origin).netloc.lower() == host.lower() or self.is_shared_with(origin)

    def is_shared_with(self, origin: str) -> bool:
        """Is the origin among those that were allowed?"""
        is_local = LOCAL in self.allowed and host_name(urlsplit(origin).netloc) in LOOPBACK
        return ANY in self.allowed or origin in self.allowed or is_local

    def reply_headers(self, origin: str) -> dict[str, str]:
        """What lets a browser show the reply to a page that was allowed."""
        if not origin or not self.is_shared_with(origin):
            return {}
        shared = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
        return {**shared, "Access-Control-Allow-Credentials": "true"} if self.has_credentials else shared

    def preflight_headers(self, origin: str) -> dict[str, str]:
        """The answer to a browser that asks first."""
        if not (headers := self.reply_headers(origin)):
            return {}
        return {
            **headers,
            "Access-Control-Allow-Methods": self.methods,
            "Access-Control-Allow-Headers": self.headers,
        }


def host_name(host: str) -> str:
    """Without its port, `[::1]:8080` is `::1`; empty for what is no host."""
    found = HOST.fullmatch(host)
    return found[1].strip("[]").lower() if found else ""
