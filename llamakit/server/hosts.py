"""What is known before the web framework is imported: what --host names, and whether the framework is there."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from ipaddress import ip_address

from llamakit.errors import UsageError

NEEDED = ("fastapi", "uvicorn", "httptools", "prometheus_client")


def is_path(host: str) -> bool:
    return host.endswith(".sock")


def is_private(hosts: Iterable[str]) -> bool:
    """Whether only this machine can connect."""
    return all(is_path(host) or is_loopback(host.strip("[]").lower()) for host in hosts)


def is_loopback(name: str) -> bool:
    """An address, or `localhost`; any other name may stand for what it likes."""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def check_extra() -> None:
    """Raises UsageError where packages of the extra are missing."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UsageError(f"the server needs {', '.join(missing)}: pip install 'llamakit[server]'")
