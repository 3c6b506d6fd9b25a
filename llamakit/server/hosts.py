"""What is known before the web framework is imported: what --host names, and whether the framework is there."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from llamakit.errors import UsageError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
NEEDED = ("fastapi", "uvicorn", "httptools", "prometheus_client")


def is_path(host: str) -> bool:
    return host.endswith(".sock")


def is_private(hosts: Iterable[str]) -> bool:
    """Whether only this machine can connect."""
    return all(is_path(host) or host.strip("[]").lower() in LOOPBACK or host.startswith("127.") for host in hosts)


def check_extra() -> None:
    """Raises UsageError where packages of the extra are missing."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UsageError(f"the server needs {', '.join(missing)}: pip install 'llamakit[server]'")
