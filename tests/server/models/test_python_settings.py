"""Settings under llama-cpp-python's names."""

from __future__ import annotations

import json

import pytest

from llamakit.errors import UsageError
from llamakit.server.__main__ import main, of_command_line, of_environment, settings_of
from llamakit.server.models import python_settings as p
from llamakit.server.settings import DraftSettings

FILE = {
    "host": "127.0.0.1",
    "port": 8123,
    "api_key": "secret",
    "models": [
        {"model": "a.gguf", "model_alias": "a", "n_ctx": 512, "n_gpu_layers": -1, "chat_format": "llama-2", "seed": 7},
        {"model": "b.gguf", "type_k": 8, "n_threads": -1, "kv_overrides": ["x.y=int:3"], "lora_path": "l.gguf"},
    ],
}


@pytest.mark.parametrize("kind", ["json", "yaml"])
def test_a_file_of_settings(tmp_path, kind):
    if kind == "yaml":
        text = pytest.importorskip("yaml").safe_dump(FILE)
    else:
        text = json.dumps(FILE)
    path = tmp_path / f"settings.{kind}"
    path.write_text(text)
    settings = p.read_file(str(path))
    a, b = (p.model_settings(model, settings.server) for model in settings.models)
    assert (settings.host, settings.port, p.server_settings(settings.server).api_keys) == (
        "127.0.0.1",
        8123,
        ("secret",),
    )
    assert (a.path, a.aliases, a.opening.n_ctx, a.chat.template) == ("a.gguf", ("a",), 512, "llama2-sys")
    assert a.sampling == {"seed": 7}
    assert (b.aliases, b.opening.n_ctx, b.opening.type_k, b.opening.n_threads) == (("b.gguf",), 2048, "q8_0", None)
    assert (b.opening.overrides, b.opening.adapters) == ({"x.y": 3}, (("l.gguf", 1.0),))


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "no JSON"),
        ("[]", 'needs "models"'),
        ('{"models": []}', 'needs "models"'),
        ('{"models": [{"model": "a", "n_ctxx": 3}]}', r"models\[0\]: there is no setting 'n_ctxx'"),
        ('{"models": [{"model": "a", "n_ctx": "many"}]}', r"models\[0\]: n_ctx 'many'"),
        ('{"models": [{"model": "a"}], "ports": 3}', "there is no setting 'ports'"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path, text, message):
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        p.read_file(str(path))


@pytest.mark.parametrize(
    "said, draft",
    [
        ({}, None),
        ({"draft_model_num_pred_tokens": "3"}, None),
        ({"draft_model": "prompt-lookup-decoding"}, DraftSettings(None, 10)),
        ({"draft_model": "small.gguf", "draft_model_num_pred_tokens": "3"}, DraftSettings("small.gguf", 3)),
    ],
)
def test_guessing(said, draft):
    assert p.model_settings(p.read_settings({"model": "m.gguf", **said}, p.MODEL, "")).draft == draft


def test_a_model_of_a_repository_is_a_file_of_it():
    found = p.model_settings({"model": "*q4_0.gguf", "hf_model_repo_id": "org/repo"})
    assert (found.path, found.aliases) == ("hf:org/repo/*q4_0.gguf", ("*q4_0.gguf",))


def test_vectors_are_served_unless_that_is_ruled_out():
    found = [p.model_settings({"model": "m", **said}).embeddings for said in ({}, {"embedding": False})]
    assert found == [True, False]


def test_what_would_change_something_and_does_not_is_named(caplog):
    p.read_settings({"n_gpu_layers": 9, "numa": False, "clip_model_path": "c.gguf"}, p.MODEL, "f.json: models[0]")
    assert caplog.messages == ["f.json: models[0]: clip_model_path has no effect in llamakit"]


@pytest.mark.parametrize("text, wanted", [("1", True), ("Yes", True), ("t", True), ("off", False), ("N", False)])
def test_switches_have_many_words(text, wanted):
    assert p.MODEL["use_mmap"].read(text) is wanted


def test_command_lines_and_environments():
    args = ["--model", "m.gguf", "--n_ctx=64", "--kv_overrides", "a=int:1", "b=str:x", "--host", "::1"]
    assert of_command_line(args) == {
        "model": ["m.gguf"], "n_ctx": ["64"], "kv_overrides": ["a=int:1", "b=str:x"], "host": ["::1"],
    }  # fmt: skip
    assert of_environment({"MODEL": "x", "N_CTX": "3", "PATH": "y", "PORT": ""}) == {"model": ["x"], "n_ctx": ["3"]}


def test_what_is_typed_goes_before_a_file_and_that_before_the_environment(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"port": 1, "api_key": "file's", "models": [{"model": "a.gguf"}]}))
    typed = of_command_line(["--config_file", str(path), "--api_key", "typed"])
    found = settings_of(typed, of_environment({"PORT": "2", "ROOT_PATH": "/x", "API_KEY": "e", "MODEL": "m.gguf"}))
    assert found == p.PythonSettings({"port": 1, "api_key": "typed", "root_path": "/x"}, ({"model": "a.gguf"},))


@pytest.mark.parametrize(
    "args, message",
    [
        ([], "a GGUF file must be named"),
        (["model"], "'model' is no option"),
        (["--model"], "--model needs a value"),
        (["--model", "m.gguf", "--no_such", "1"], "there is no setting 'no_such'"),
        (["--model", "m.gguf", "--host", "0.0.0.0"], "set --api_key"),
        (["--config_file", "/nowhere.json"], "/nowhere.json"),
        (["--config_file", "f.json", "--n_ctx", "5"], "--n_ctx: what holds for a model is said in the file"),
        (["--config_file", "f.json", "--no_such", "5"], "there is no setting 'no_such'"),
        (["--model", "m.gguf", "--n_ctx", "-5"], "n_ctx: -5 is less than 0"),
        (["--model", "m.gguf", "--draft_model", "d", "--draft_model_num_pred_tokens", "0"], "0 is less than 1"),
    ],
)
def test_what_is_wrong_with_a_command_line_is_one_line(capsys, args, message):
    assert main(args, {}) == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def started(monkeypatch):
    """What servers are started with."""
    calls = []
    monkeypatch.setattr("llamakit.server.operations.logs.configure_logs", lambda **options: None)
    for name in ("serve", "serve_many"):
        monkeypatch.setattr(
            f"llamakit.server.launch.{name}", lambda settings, model, *_, **options: calls.append((model, options)) or 0
        )
    return calls


def test_the_model_is_fetched_before_it_is_served(started, monkeypatch):
    monkeypatch.setattr("llamakit.tools.pull.resolve", lambda spec, *_, **more: f"cache/{spec.rpartition('/')[2]}")
    assert main(["--model", "m.gguf", "--hf_model_repo_id", "org/repo"], {}) == 0
    assert started[0][0].path == "cache/m.gguf"


def test_of_several_models_the_first_answers_to_all_names(started, tmp_path, capsys):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(FILE))
    assert main(["--config_file", str(path)], {}) == 0
    assert started[0][1] == {"answers_to_all": True}
    path.write_text(json.dumps({"models": [{"model": "a"}, {"model": "a"}]}))
    assert main(["--config_file", str(path)], {}) == 2
    assert "two of them have the same name" in capsys.readouterr().err


def test_help_names_all_settings(capsys):
    assert main(["--help"], {}) == 0
    said = capsys.readouterr().out
    assert all(f"--{name}" in said for name in (*p.MODEL, *p.SERVER))
