"""Options that stand for others, ask for a text, or are done otherwise."""

from __future__ import annotations

import pytest

from llamakit import __version__
from llamakit.cli.app import run
from llamakit.cli.parsing.declared import declaration
from llamakit.cli.parsing.groups import flatten
from llamakit.cli.parsing.reader import InvalidArgument, read, spellings_of
from llamakit.cli.run import run as run_command
from llamakit.cli.server import server
from llamakit.cli.shorthands import ANSWERS, REFUSED, STANDS_FOR


def read_by(command, *args):
    return read(declaration(flatten(command)), args)


@pytest.mark.parametrize("name", STANDS_FOR)
def test_the_server_reads_what_they_stand_for(name):
    assert read_by(server, name) == read_by(server, *STANDS_FOR[name]) != read_by(server)


def test_presets_are_those_of_llama_server(capsys):
    said = read_by(server, "--fim-qwen-7b-spec", "--port", "9")
    assert (said["hf_repo"], said["hf_file"]) == ("ggml-org/Qwen2.5-Coder-7B-Q8_0-GGUF", "qwen2.5-coder-7b-q8_0.gguf")
    assert said["hf_repo_draft"].startswith("ggml-org/Qwen2.5-Coder-0.5B-Q8_0-GGUF/")
    assert (said["port"], said["ctx_size"], said["batch_size"], said["ubatch_size"]) == (9, 0, 1024, 1024)
    assert "--port is given more than once; the last one counts" in capsys.readouterr().err
    said = read_by(server, "--gpt-oss-20b-default")
    assert (said["parallel"], said["ctx_size"], said["top_k"], said["min_p"]) == (2, 262144, 0, 0.01)
    assert read_by(server, "--embd-gemma-default")["hf_file"] == "embeddinggemma-300M-qat-Q4_0.gguf"
    assert read_by(server, "--slots-endpoint-disable")["slots"] is False


def test_a_command_without_the_options_does_not_know_them():
    with pytest.raises(InvalidArgument, match="invalid argument: --slots-endpoint-disable"):
        read_by(run_command, "--slots-endpoint-disable")


@pytest.mark.parametrize("name, text", [("--version", f"llamakit {__version__}"), ("--list-devices", "(none)")])
def test_some_ask_for_a_text_alone(capsys, name, text):
    assert run(["server", "-m", "nowhere.gguf", name]) == 0
    assert text in capsys.readouterr().out


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_done_otherwise_is_said(capsys, name):
    assert run(["server", name, "value"]) == 1
    assert capsys.readouterr().err == f"error: {name}: {REFUSED[name]}\n"


def test_no_option_has_two_meanings():
    known = spellings_of(declaration(flatten(server)))
    for table in (STANDS_FOR, ANSWERS, REFUSED):
        assert not table.keys() & known.keys()
