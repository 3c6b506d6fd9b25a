"""A short run of scripts/soak_server.py; the long one is made by hand."""

from __future__ import annotations

import importlib.util
import os
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


@pytest.mark.parametrize(
    "memory, handles, complaints",
    [
        ([100, 103, 99, 101, 100], [5] * 5, []),
        ([100, 102, 104, 106, 108], [5] * 5, ["the server has grown by 7.7%"]),
        ([100] * 5, [5, 5, 6, 8, 9], ["the server keeps handles: 5, then 9"]),
        ([100] * 5, [9, 5, 5, 12, 9], ["the server keeps handles: 5, then 9"]),  # connections come and go meanwhile
        ([100] * 5, [5, 9, 12, 9, 5], []),
    ],
)
def test_what_grows_from_request_to_request_is_told(script, memory, handles, complaints):
    watch = script.Watch(0, lambda: 0)
    engine = script.Sizes(50 << 20, 5)
    watch.looks = [
        (250 * i, [script.Sizes(m << 20, n), engine]) for i, (m, n) in enumerate(zip(memory, handles, strict=True))
    ]
    told = watch.what_grew(1000)
    assert len(told) == len(complaints) and all(map(str.startswith, told, complaints))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_is_watched_as_long_as_the_block_goes_on(script):
    with script.Watch(os.getpid(), lambda: 7) as watch:
        pass
    assert watch.looks and watch.looks[0][0] == 7 and watch.looks[0][1][0].memory > 1 << 20
