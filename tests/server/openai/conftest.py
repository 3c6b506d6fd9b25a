"""A scripted server for all tests of this folder."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def scripted_server():
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    from ..scripted import scripted

    with scripted() as server:
        yield server


@pytest.fixture
def scripted(scripted_server):
    """It says `Hello` unless a test has it say something else."""
    scripted_server.says("Hello")
    return scripted_server
