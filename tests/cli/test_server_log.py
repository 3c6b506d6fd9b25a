"""What keeps `llamakit server` from starting, in its log."""

from __future__ import annotations

import json
import logging

import pytest

from llamakit.cli.app import run
from llamakit.server.operations import logs

pytest.importorskip("fastapi")


@pytest.fixture(autouse=True)
def same_logging():
    """The log of the process is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers = handlers
    logs._configured.clear()
    root.setLevel(level)


@pytest.fixture(autouse=True)
def no_engine(monkeypatch):
    monkeypatch.setattr("llamakit.server.engine.spawn.spawn", lambda: None)


def test_a_machine_is_told_in_json(capsys):
    assert run(["server", "-m", "M", "--log-jsonl", "--timeout", "0"]) == 1
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]  # others of this process may log too
    assert ("ERROR", "--timeout: must be at least 1, not 0") in [(line["level"], line["message"]) for line in told]


def test_a_file_is_told_too_and_begins_anew(capsys, tmp_path, monkeypatch):
    file = tmp_path / "log"
    file.write_text("of yesterday")
    monkeypatch.setenv("LLAMA_ARG_LOG_FILE", str(file))
    assert run(["server", "-m", "M", "--timeout", "0"]) == 1
    line = file.read_text().splitlines()[-1]
    assert line.endswith("ERROR --timeout: must be at least 1, not 0") and "yesterday" not in file.read_text()
    assert line in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_said(capsys):
    assert run(["server", "-m", "M", "--log-file", "/no/where/log"]) == 2
    assert "--log-file /no/where/log: No such file" in capsys.readouterr().err


def test_a_process_that_is_started_goes_on_with_the_log(tmp_path):
    file = tmp_path / "log"
    logs.configure_logs(as_json=True, level=logging.WARNING, path=str(file))
    logging.getLogger("a").warning("one")
    logs.inherit(logs.inherited())
    logging.getLogger("a").warning("two")
    logging.getLogger("a").info("three")
    assert [json.loads(line)["message"] for line in file.read_text().splitlines()] == ["one", "two"]
