"""Sockets to listen on, and what cannot be listened on."""

from __future__ import annotations

import socket

import pytest

from llamakit.errors import UsageError
from llamakit.server.listening import address_of, close, listen


def is_reachable(listening):
    with socket.socket(listening.family) as client:
        client.connect(listening.getsockname())
        return True


def test_a_free_port_is_found_and_freed_again():
    (first,) = listen(["127.0.0.1"], 0)
    assert is_reachable(first)
    port = first.getsockname()[1]
    assert address_of(first) == f"http://127.0.0.1:{port}"
    close([first], ["127.0.0.1"])
    close(listen(["127.0.0.1"], port), [])


def test_fault_80_a_port_in_use_is_named():
    listening = listen(["127.0.0.1"], 0)
    port = listening[0].getsockname()[1]
    with pytest.raises(UsageError, match=rf"127\.0\.0\.1 port {port} is in use: .* choose another --port"):
        listen(["127.0.0.1"], port)
    close(listening, [])


@pytest.mark.parametrize(
    "host, port, message",
    [
        ("203.0.113.7", 0, "--host 203.0.113.7: this machine has no such address"),
        ("no such name", 0, "--host no such name: "),
        ("x" * 70, 0, "--host x"),
        ("127.0.0.1", 70000, "--port 70000: ports are 0 to 65535"),
        ("127.0.0.1", -1, "--port -1: ports are 0 to 65535"),
        ("/nowhere/x.sock", 0, "cannot listen on /nowhere/x.sock: No such file"),
        ("/tmp/" + 200 * "x" + ".sock", 0, "its path is too long"),
    ],
)
def test_fault_80_what_cannot_be_listened_on_is_said(host, port, message):
    with pytest.raises(UsageError) as error:
        listen([host], port)
    assert message in str(error.value)


def test_fault_80_ipv6_and_several_addresses_have_one_port():
    try:
        listening = listen(["::1"], 0)
    except UsageError:
        pytest.skip("this machine has no IPv6")
    assert address_of(listening[0]).startswith("http://[::1]:")
    assert is_reachable(listening[0])
    port = listening[0].getsockname()[1]
    close(listening, [])
    listening = listen(["[::1]", "127.0.0.1"], port)
    assert {each.getsockname()[1] for each in listening} == {port}
    close(listening, [])


def test_fault_80_a_stale_unix_socket_makes_way_and_a_live_one_does_not(tmp_path):
    path = tmp_path / "llamakit.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    listening = listen([str(path)], 0)
    assert is_reachable(listening[0])
    with pytest.raises(UsageError, match="is in use: another server listens there"):
        listen([str(path)], 0)
    close(listening, [str(path)])
    assert not path.exists()
    path.write_text("a file")
    with pytest.raises(UsageError, match="there is a file of another kind"):
        listen([str(path)], 0)
    assert path.read_text() == "a file"


def test_what_was_bound_before_one_that_cannot_be_is_freed():
    (first,) = listen(["127.0.0.1"], 0)
    port = first.getsockname()[1]
    close([first], [])
    with pytest.raises(UsageError):
        listen(["127.0.0.1", "203.0.113.7"], port)
    close(listen(["127.0.0.1"], port), [])
