"""What --host names: addresses, and paths of UNIX sockets."""

from __future__ import annotations

from collections.abc import Iterable

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def is_path(host: str) -> bool:
    return host.endswith(".sock")


def is_private(hosts: Iterable[str]) -> bool:
    """Whether only this machine can connect."""
    return all(is_path(host) or host.strip("[]").lower() in LOOPBACK or host.startswith("127.") for host in hosts)
