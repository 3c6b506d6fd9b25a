"""Several models: what files say of them and of the server, and what the command line says."""

from __future__ import annotations

import json

import pytest

from llamakit.cli.app import run

pytest.importorskip("fastapi")

FILE = {
    "host": "0.0.0.0",
    "port": 8123,
    "api_key": "the,secret",
    "root_path": "/api/",
    "ssl_keyfile": "k.pem",
    "ssl_certfile": "c.pem",
    "disable_ping_events": True,
    "models": [
        {"model": "a.gguf", "model_alias": "a", "n_ctx": 512, "seed": 7, "kv_overrides": ["x=int:1"]},
        {"model": "b.gguf", "n_threads": 3},
    ],
}


@pytest.fixture
def started(monkeypatch, tmp_path):
    """(ServerSettings, models by name, hosts, port, options) that a file and a command line start a server with."""
    monkeypatch.setattr("llamakit.server.operations.logs.configure_logs", lambda **options: None)

    def start(*args, **changed):
        path, calls = tmp_path / "settings.json", []
        path.write_text(json.dumps({**FILE, **changed}))

        def serve_many(settings, known, n_most, hosts, port, reuse_port, **options):
            calls.append((settings, known(), hosts, port, options))
            return 0

        monkeypatch.setattr("llamakit.server.launch.serve_many", serve_many)
        assert run(["server", "--config-file", str(path), *args]) == 0
        return calls[0]

    return start


def test_a_file_of_settings_says_how_the_server_is_reached(started):
    web, models, hosts, port, options = started()
    assert (hosts, port, web.api_keys, web.api_prefix) == (["0.0.0.0"], 8123, ("the,secret",), "/api")
    assert (web.ssl_key_file, web.ssl_cert_file) == ("k.pem", "c.pem")
    assert [*models] == ["a", "b.gguf"]
    assert (models["a"].opening.n_ctx, models["a"].sampling, models["a"].sse_ping_interval) == (512, {"seed": 7}, -1)
    assert options["answers_to_all"]


def test_options_and_variables_go_before_the_file(started, monkeypatch):
    monkeypatch.setenv("LLAMA_ARG_PORT", "99")
    monkeypatch.setenv("LLAMA_ARG_TOP_K", "5")
    web, models, hosts, port, _ = started(
        "--host", "127.0.0.1", "--api-key", "x,y", "--api-prefix", "/p", "-c", "64", "--temp", "0", "-t", "2",
        "--override-kv", "y=int:2", "--ssl-key-file", "own.pem",
    )  # fmt: skip
    assert (hosts, port, web.api_keys, web.api_prefix) == (["127.0.0.1"], 99, ("x", "y"), "/p")
    assert web.ssl_key_file == "own.pem"
    a, b = models.values()
    assert (a.opening.n_ctx, b.opening.n_ctx, b.opening.n_threads) == (64, 64, 2)
    assert a.sampling == {"seed": 7, "temperature": 0.0, "top_k": 5}
    assert a.opening.overrides == {"x": 1, "y": 2}
    assert (a.aliases, a.path) == (("a",), "a.gguf")


def test_a_file_that_opens_the_server_to_others_needs_a_key(started, capsys, tmp_path):
    path = tmp_path / "open.json"
    path.write_text(json.dumps({**FILE, "api_key": None}))
    assert run(["server", "--config-file", str(path)]) == 1
    assert "set --api-key, or say --insecure" in capsys.readouterr().err
    assert started(api_key=None, insecure=True)[0].api_keys == ()


@pytest.mark.parametrize(
    "args, message",
    [
        (["-m", "M"], "-m names one model, --config-file several"),
        (["-a", "x"], "--alias names one model"),
        (["--check-tensors"], "--check-tensors looks at the model of -m"),
        (["--models-dir", "D"], "only one of --models-dir and --config-file"),
    ],
)
def test_what_is_said_of_one_model_alone_is_refused(tmp_path, capsys, args, message):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(FILE))
    assert run(["server", "--config-file", str(path), *args]) == 1
    assert message in capsys.readouterr().err


def test_two_models_of_one_name_are_refused(tmp_path, capsys):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"models": [{"model": "a.gguf"}, {"model": "b.gguf", "model_alias": "a.gguf"}]}))
    assert run(["server", "--config-file", str(path)]) == 1
    assert "two models are called 'a.gguf'" in capsys.readouterr().err


def test_models_are_fetched_as_the_command_line_says(started, monkeypatch):
    asked = []
    monkeypatch.setattr("llamakit.tools.pull.resolve", lambda *args, **more: asked.append((args, more)) or "here")
    _, models, _, _, options = started(
        "--offline", "--hf-token", "t", models=[{"model": "*Q4_0.gguf", "hf_model_repo_id": "org/repo"}]
    )
    assert options["fetch"](models["*Q4_0.gguf"]).path == "here"
    assert asked == [(("hf:org/repo/*Q4_0.gguf", None, True), {"token": "t"})]


def test_more_models_at_the_start_than_may_be_loaded_are_refused(tmp_path, capsys):
    path = tmp_path / "models.ini"
    path.write_text("[*]\nload-on-startup = on\n[a]\nmodel = a.gguf\n[b]\nmodel = b.gguf")
    assert run(["server", "--models-preset", str(path), "--models-max", "1"]) == 1
    assert "2 models have load-on-startup, --models-max lets 1 be loaded" in capsys.readouterr().err
