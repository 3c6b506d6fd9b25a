"""Where a server listens: addresses and ports, or paths of UNIX sockets."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterable

from llamakit.errors import UsageError
from llamakit.server.hosts import is_path

BACKLOG = 2048


def listen(hosts: Iterable[str], port: int, *, reuse_port: bool = False) -> list[socket.socket]:
    """Sockets that listen. A host that ends in .sock is a UNIX socket; port 0 means any that is free.

    Raises UsageError for what cannot be listened on.
    """
    listening: list[socket.socket] = []
    try:
        for host in hosts:
            if is_path(host):
                listening.append(listen_on_path(host))
            else:
                listening += listen_on_address(host, port, reuse_port)
    except BaseException:
        for each in listening:
            each.close()
        raise
    return listening


def listen_on_address(host: str, port: int, reuse_port: bool) -> list[socket.socket]:
    """All that a name stands for: localhost may be 127.0.0.1 and ::1."""
    name = host.strip("[]")
    if not 0 <= port <= 65535:
        raise UsageError(f"--port {port}: ports are 0 to 65535")
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {host}: {getattr(error, 'strerror', error)}") from None
    sockets, problem = [], None
    for family, kind, protocol, _, address in dict.fromkeys(found):
        try:
            bound = socket.socket(family, kind, protocol)
        except OSError as error:  # a name may stand for addresses of a kind that this machine lacks
            problem = error
            continue
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse_port:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind((address[0], port, *address[2:]))
            bound.listen(BACKLOG)
        except OSError as error:
            bound.close()
            if error.errno == errno.EADDRNOTAVAIL and len(found) > 1:
                problem = error
                continue
            raise UsageError(why_not(host, port, error)) from None
        port = port or bound.getsockname()[1]  # the same one for all addresses
        sockets.append(bound)
    if not sockets:
        raise UsageError(why_not(host, port, problem or OSError(errno.EADDRNOTAVAIL, "there is no such address")))
    return sockets


def why_not(host: str, port: int, error: OSError) -> str:
    where = f"{host} port {port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use: another server may be running; choose another --port, or 0 for any that is free"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{where} is not allowed to you: ports below 1024 are the system's; choose another --port"
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return f"--host {host}: this machine has no such address"
    return f"cannot listen on {where}: {error.strerror}"


def listen_on_path(path: str) -> socket.socket:
    """A socket that a server left behind makes way, unless somebody still listens."""
    remove_stale(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(path)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        reason = "its path is too long" if error.errno is None else error.strerror
        raise UsageError(f"cannot listen on {path}: {reason}") from None
    return bound


def remove_stale(path: str) -> None:
    try:
        kind = os.stat(path).st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(kind):
        raise UsageError(f"cannot listen on {path}: there is a file of another kind; remove it, or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        trial.settimeout(1)
        try:
            trial.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except OSError as error:
            raise UsageError(f"cannot listen on {path}: {error.strerror}") from None
        else:
            raise UsageError(f"{path} is in use: another server listens there")


def address_of(listening: socket.socket, scheme: str = "http") -> str:
    name = listening.getsockname()
    if listening.family == socket.AF_UNIX:
        return f"{scheme}+unix://{name}"
    host = f"[{name[0]}]" if listening.family == socket.AF_INET6 else name[0]
    return f"{scheme}://{host}:{name[1]}"


def close(listening: Iterable[socket.socket], hosts: Iterable[str]) -> None:
    """Free ports and paths."""
    for each in listening:
        each.close()
    for path in filter(is_path, hosts):
        with contextlib.suppress(OSError):
            os.unlink(path)
