"""`perplexity` and `imatrix` take the options that llama.cpp's tools have in common."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from llamakit.cli.app import run
from llamakit.cli.imatrix import imatrix
from llamakit.cli.options.grammar import GrammarFile, GrammarText, JsonSchema, JsonSchemaFile, Regex
from llamakit.cli.options.sampling import SamplingOptions
from llamakit.cli.parsing.declared import declaration
from llamakit.cli.parsing.groups import flatten
from llamakit.cli.parsing.reader import read, spellings_of
from llamakit.cli.parsing.typer_command import typer_command
from llamakit.cli.perplexity import perplexity
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.tools.imatrix_file import read_imatrix
from tests.adapters import write_adapter
from tests.tools.perplexity.models import TEXT, damage, write_model

Capture = pytest.CaptureFixture[str]
COMMANDS = {"perplexity": perplexity, "imatrix": imatrix}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    model = write_model(folder / "m.gguf")
    write_adapter(folder / "a.gguf", model, ("blk.0.ffn_down.weight", "blk.1.attn_q.weight"), rank=4, alpha=32.0)
    with GGUFWriter(folder / "v.gguf") as writer:
        writer.add("general.architecture", "controlvector")
        writer.add("controlvector.model_hint", "llama")
        writer.add("controlvector.layer_count", 1)
        writer.add_tensor("direction.1", np.full(64, 3, np.float32))
    (folder / "text.txt").write_text(TEXT + "\n")
    return folder


@pytest.fixture
def values(folder: Path, tmp_path: Path, capsys: Capture) -> Callable[..., str]:
    """The running perplexities that a command prints."""

    def compute(command: str, *options: str) -> str:
        text = ["-f", str(folder / "text.txt"), "-c", "64", "--chunks", "2"]
        out = ["-o", str(tmp_path / "i.gguf")] if command == "imatrix" else []
        assert run([command, "-m", str(folder / "m.gguf"), *text, *out, *options]) == 0
        found = re.findall(r"\[\d+\]\d+\.\d+", capsys.readouterr().out)
        assert len(found) == 2
        return " ".join(found)

    return compute


@pytest.mark.parametrize("command", COMMANDS)
def test_adapters_and_rotations_change_what_is_measured(
    command: str, folder: Path, values: Callable[..., str], tmp_path: Path
) -> None:
    plain = values(command)
    adapted = values(command, "--lora", str(folder / "a.gguf"))
    measured = {
        plain,
        adapted,
        values(command, "--lora-scaled", f"{folder}/a.gguf:2"),
        values(command, "--control-vector", str(folder / "v.gguf"), "--control-vector-layer-range", "1", "1"),
        values(command, "--rope-freq-base", "50"),
        values(command, "--rope-scaling", "yarn", "--rope-scale", "4", "--yarn-orig-ctx", "16"),
    }
    assert len(measured) == 6
    assert values(command, "--lora-scaled", f"{folder}/a.gguf:0") == plain


def test_an_imatrix_sees_the_inputs_that_adapters_make(
    folder: Path, values: Callable[..., str], tmp_path: Path
) -> None:
    sums = []
    for options in ([], ["--lora", str(folder / "a.gguf")]):
        values("imatrix", *options)
        entries = read_imatrix(tmp_path / "i.gguf").entries
        sums.append({name: float(entry.sums.sum()) for name, entry in entries.items()})
    assert sums[0].keys() == sums[1].keys()
    assert sums[0]["blk.0.attn_q.weight"] == sums[1]["blk.0.attn_q.weight"]
    assert sums[0]["blk.1.attn_q.weight"] != sums[1]["blk.1.attn_q.weight"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["-ctk", "-ctv"])
def test_the_cache_has_the_type_asked_for(command: str, option: str, values: Callable[..., str]) -> None:
    assert values(command, option, "q8_0", "-tb", "1") != values(command, option, "f32", "-tb", "1")


@pytest.mark.parametrize("command", COMMANDS)
def test_sampling_and_generation_are_passed_over_with_a_warning(command: str, capsys: Capture) -> None:
    """All spellings that `run` has of them."""
    function = flatten(COMMANDS[command])
    own = spellings_of(typer_command(command, function))

    def grammars(
        a: GrammarText = None, b: GrammarFile = None, c: JsonSchema = None, d: JsonSchemaFile = None, e: Regex = None
    ) -> None: ...

    def sampling(*, options: SamplingOptions) -> None: ...

    for group in (grammars, flatten(sampling)):
        declared = declaration(group)
        assert declared is not None
        for name, spelling in spellings_of(declared).items():
            if name in own:
                continue
            read(typer_command(command, function), [name] if spelling.convert is None else [name, "1"])
            assert capsys.readouterr().err == f"warn: {name} has no effect in llamakit\n"
    words = ["-n", "3", "--keep", "4", "-kvu", "-l", "1+2", "--grammar", "root", "-j", "{}", "-s", "7"]
    read(typer_command(command, function), words)
    assert capsys.readouterr().err.count("has no effect") == (6 if command == "perplexity" else 7)


@pytest.mark.parametrize("command", ["embed", "tokenize", "eval"])
def test_other_commands_do_not_take_them(command: str, capsys: Capture) -> None:
    assert run([command, "-m", "x.gguf", "--top-k", "3"]) == 1
    assert "invalid argument: --top-k" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_damage_is_looked_for_first_and_what_is_told_goes_to_a_file(
    command: str, folder: Path, values: Callable[..., str], tmp_path: Path, capsys: Capture
) -> None:
    log = tmp_path / "log.txt"
    values(command, "--log-file", str(log), "--check-tensors")
    assert "seconds per pass" in log.read_text()
    damage(write_model(tmp_path / "bad.gguf"))
    assert run([command, "-m", str(tmp_path / "bad.gguf"), "-f", str(folder / "text.txt"), "--check-tensors"]) == 2
    assert "--check-tensors: 1 of its tensors are damaged" in capsys.readouterr().err


def test_imatrix_takes_a_text_as_it_is_typed_and_tells_nothing_when_asked(
    folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "i.gguf"
    words = ["imatrix", "-m", str(folder / "m.gguf"), "-o", str(out), "-c", "32", "--no-ppl", "--log-disable"]
    assert run([*words, "-p", r"a\nb " * 60, "-e"]) == 0
    assert capsys.readouterr() == ("", "")
    escaped = read_imatrix(out)
    assert run([*words, "-p", r"a\nb " * 60]) == 0
    assert read_imatrix(out).n_chunks > escaped.n_chunks  # two characters in place of one
    (tmp_path / "raw").write_bytes(b"a\nb " * 60)
    assert run([*words, "-bf", str(tmp_path / "raw")]) == 0
    raw = read_imatrix(out)
    assert raw.n_chunks == escaped.n_chunks and raw.datasets == (str(tmp_path / "raw"),)
    for name, entry in raw.entries.items():
        assert np.array_equal(entry.sums, escaped.entries[name].sums)


def test_a_typed_text_cannot_be_resumed(folder: Path, capsys: Capture) -> None:
    assert run(["imatrix", "-m", str(folder / "m.gguf"), "-p", "text", "--resume"]) == 1
    assert "--resume goes on with the text of a file" in capsys.readouterr().err


def test_a_matrix_that_cannot_be_written_is_refused_before_the_work(folder: Path, capsys: Capture) -> None:
    text = ["-f", str(folder / "text.txt"), "-c", "64"]
    assert run(["imatrix", "-m", "no-such.gguf", *text, "-o", "/no/such/i.gguf"]) == 2
    assert capsys.readouterr().err == "error: /no/such/i.gguf: cannot write: No such file or directory\n"
