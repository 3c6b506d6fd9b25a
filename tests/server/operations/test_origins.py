from __future__ import annotations

import pytest

from llamakit.server.operations.origins import Origins

HERE = "127.0.0.1:8080"


@pytest.mark.parametrize("host", [HERE, "localhost", "LOCALHOST:1", "[::1]:8080", "127.0.0.1"])
def test_its_own_names_are_known(host: str) -> None:
    assert Origins().knows_host(host)


@pytest.mark.parametrize(
    "host", ["", "evil.com", "localhost.evil.com", "127.0.0.1.evil.com:8080", "[", "a@localhost:80", "localhost:x"]
)
def test_fault_82_a_name_that_points_here_is_not_ours(host: str) -> None:
    assert not Origins().knows_host(host)


def test_any_name_is_known_where_hosts_are_not_checked() -> None:
    assert Origins(hosts=None).knows_host("evil.com")


@pytest.mark.parametrize(
    "allowed, origin, is_allowed",
    [
        ((), "http://127.0.0.1:8080", True),  # the server's own page
        ((), "http://localhost:8080", False),
        ((), "http://evil.com", False),
        ((), "null", False),
        (("*",), "null", True),
        (("*",), "http://evil.com", True),
        (("http://a.com", "http://b.com"), "http://b.com", True),
        (("http://a.com", "http://b.com"), "http://b.com.evil.com", False),
        (("http://a.com",), "https://a.com", False),
        (("localhost",), "http://localhost:3000", True),
        (("localhost",), "http://[::1]:3000", True),
        (("localhost",), "http://notlocalhost", False),
        (("localhost",), "http://localhost.evil.com", False),
    ],
)
def test_fault_82_origins(allowed: tuple[str, ...], origin: str, is_allowed: bool) -> None:
    assert Origins(allowed=allowed).allows(origin, HERE) == is_allowed


def test_fault_82_one_origin_is_echoed_and_never_a_list() -> None:
    origins = Origins(allowed=("http://a.com", "http://b.com"))
    assert origins.reply_headers("http://b.com") == {
        "Access-Control-Allow-Origin": "http://b.com",
        "Vary": "Origin",
        "Access-Control-Allow-Credentials": "true",
    }
    assert origins.reply_headers("http://c.com") == {}
    assert origins.preflight_headers("http://c.com") == {}
    assert origins.preflight_headers("http://a.com")["Access-Control-Allow-Methods"] == "GET, POST, DELETE, OPTIONS"
