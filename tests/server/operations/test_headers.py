"""Names of reply headers."""

from __future__ import annotations

from llamakit.server.operations.headers import encoded


def test_names_keep_their_capitals_when_uvicorn_lowers_them():
    ((name, value),) = encoded({"Process-Start-Time-Unix": "1"})
    assert (name.lower(), value) == (b"Process-Start-Time-Unix", b"1")
