"""A short run of scripts/soak_server.py; the long one is made by hand."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from .processes import server_process

SCRIPT = Path(__file__).parents[2] / "scripts" / "soak_server.py"


@pytest.fixture
def script(monkeypatch):
    spec = importlib.util.spec_from_file_location("soak_server", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "soak_server", module)  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_fault_89_nothing_is_left_of_requests_that_break_off(path, script, capsys):
    with server_process("-m", path, "--metrics", "-np", "4", "-c", "1024") as server:
        assert script.soak(f"http://127.0.0.1:{server.port}", 300, 8, None) == []
        handles = [script.size_of(number).handles for number in (server.process.pid, server.engine)]
        assert max(handles) < 40
    assert "'200': " in capsys.readouterr().out
