"""`llamakit models` and `pull`, and the options that say where a model comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llamakit.cli.app import run
from llamakit.cli.options.model import ModelOptions, is_fetched
from llamakit.cli.parsing.reader import InvalidArgument
from llamakit.tools.catalog import DEMO
from tests.fake_engine import FakeEngine

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLAMAKIT_CACHE", str(tmp_path))
    folder = tmp_path / "models/hf/org/repo"
    folder.mkdir(parents=True)
    (folder / "m-Q8_0.gguf").write_bytes(bytes(1_500_000))
    return tmp_path / "models"


@pytest.mark.parametrize(
    "options, spec",
    [
        ({}, None),
        ({"model": "m.gguf"}, "m.gguf"),
        ({"hf_repo": "org/repo"}, "hf:org/repo"),
        ({"hf_repo": "hf:org/repo:Q8_0"}, "hf:org/repo:Q8_0"),
        ({"hf_repo": "org/repo:Q8_0", "hf_file": "a/m.gguf"}, "hf:org/repo/a/m.gguf"),
        ({"model_url": "https://a.test/m.gguf", "model": "x"}, "https://a.test/m.gguf"),
    ],
)
def test_options_are_one_name(options: dict[str, str], spec: str | None) -> None:
    assert ModelOptions(**options).spec == spec


def test_a_file_without_its_repository_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="-hf ORG/REPO"):
        _ = ModelOptions(hf_file="m.gguf").spec


def test_a_path_is_no_name(tmp_path: Path) -> None:
    assert not is_fetched(str(tmp_path / "m.gguf"))
    (tmp_path / "a:b").touch()
    assert not is_fetched(str(tmp_path / "a:b"))
    assert is_fetched("hf:org/repo")


@pytest.mark.parametrize(
    "args", [["-hf", "org/repo:Q8_0"], ["-m", "hf:org/repo:Q8_0"], ["-hf", "o/r", "-hff", "q.gguf"]]
)
def test_every_spelling_reaches_the_model(
    fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, args: list[str]
) -> None:
    asked = []

    def resolve(spec: str, report: object, offline: bool | None, *, token: str | None) -> Path:
        asked.append((spec, offline, token))
        return Path("/cache/m.gguf")

    monkeypatch.setattr("llamakit.tools.pull.resolve", resolve)
    assert run(["run", *args, "--offline", "-hft", "t", "-p", "p"]) == 0
    assert fake_engine.asked[0]["path"] == "/cache/m.gguf"
    assert asked == [("hf:o/r/q.gguf" if "-hff" in args else "hf:org/repo:Q8_0", True, "t")]


@pytest.mark.parametrize(
    "command",
    [
        ["run", "-p", "x"],
        ["bench"],
        ["tokenize", "-p", "x"],
        ["perplexity", "-p", "x"],
        ["quantize", "hf:org/x", "Q8_0"],
    ],
)
def test_every_command_tells_what_offline_lacks(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture, command: list[str]
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert run([*command, *(["-m", "hf:org/x"] if command[0] != "quantize" else [])]) == 1
    assert "hf:org/x is not in the cache, and nothing is fetched in offline mode" in capfd.readouterr().err


def test_models_are_listed(cache: Path, capfd: Capture) -> None:
    assert run(["models"]) == 0
    assert capfd.readouterr().out.splitlines() == [
        "   1.5 MB  hf:org/repo/m-Q8_0.gguf", f"   1.5 MB  in {cache}"
    ]  # fmt: skip
    assert run(["run", "-cl"]) == run(["tokenize", "--cache-list"]) == 0
    assert capfd.readouterr().out.count("hf:org/repo/m-Q8_0.gguf") == 2
    assert run(["models", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == [
        {
            "name": "hf:org/repo/m-Q8_0.gguf",
            "size": 1_500_000,
            "whole": True,
            "files": [{"path": str(cache / "hf/org/repo/m-Q8_0.gguf"), "sha256": None}],
        }
    ]


def test_a_model_is_shown_and_removed(cache: Path, capfd: Capture) -> None:
    assert run(["models", "show", "hf:org/repo"]) == 0
    assert str(cache / "hf/org/repo/m-Q8_0.gguf") in capfd.readouterr().out
    assert run(["models", "rm", "m-Q8_0.gguf"]) == 0
    assert capfd.readouterr().out == "removed hf:org/repo/m-Q8_0.gguf: 1.5 MB\n"
    assert run(["models", "rm", "m-Q8_0.gguf"]) == 2
    assert run(["models"]) == 0
    assert capfd.readouterr().out == f"no models in {cache}\n"


@pytest.mark.parametrize("args", [["show"], ["rm"], ["list", "x"], ["delete", "x"]])
def test_a_wrong_action_is_told(cache: Path, capfd: Capture, args: list[str]) -> None:
    assert run(["models", *args]) == 1
    assert "usage: `llamakit models`" in capfd.readouterr().err


def test_pull_prints_where_a_model_is(cache: Path, capfd: Capture) -> None:
    with (cache / DEMO.file_name).open("wb") as file:
        file.truncate(DEMO.size)
    assert run(["pull", "demo", "--offline"]) == 0
    assert capfd.readouterr().out == f"{cache / DEMO.file_name}\n"


def test_pull_of_a_path_where_nothing_is_is_an_error(cache: Path, capfd: Capture) -> None:
    assert run(["pull", "./absent.gguf"]) == 2
    out, err = capfd.readouterr()
    assert "absent.gguf: no such file" in err and not out
    assert run(["pull", str(cache)]) == 0


def test_pull_wants_a_name(capfd: Capture) -> None:
    assert run(["pull"]) == 1
    assert "which model?" in capfd.readouterr().err
