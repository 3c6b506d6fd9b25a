"""Command lines are read by llama.cpp's rules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from llamakit.cli.options.shared import option, parse_overrides
from llamakit.cli.parsing.call import read_and_call
from llamakit.cli.parsing.reader import InvalidArgument, OptionalWord

Seen = dict[str, Any]


def call(*args: str) -> Seen:
    """What a command with one option of each kind is called with."""
    seen: Seen = {}

    def command(
        name: Annotated[str, typer.Argument()] = "none",
        n_predict: Annotated[int, option("-n", "--predict", "--n-predict", env="N_PREDICT", help="")] = -1,
        threads: Annotated[int, option("-t", "--threads", help="")] = 4,
        threads_batch: Annotated[int | None, option("-tb", "--threads-batch", help="")] = None,
        temp: Annotated[float, option("--temp", help="")] = 0.8,
        model: Annotated[Path | None, option("-m", "--model", env="MODEL", help="")] = None,
        shift: Annotated[bool, option("--context-shift/--no-context-shift", env="CONTEXT_SHIFT", help="")] = False,
        special: Annotated[bool, option("-sp", "--special", env="SPECIAL", help="")] = False,
        color: Annotated[str, OptionalWord(), option("-co", "--color", help="")] = "auto",
        stop: Annotated[list[str], option("-r", "--reverse-prompt", help="")] = [],  # noqa: B006
    ) -> None:
        seen.update(locals())
        del seen["seen"]

    read_and_call("test", command, args)
    return seen


DEFAULTS: Seen = {
    "name": "none", "n_predict": -1, "threads": 4, "threads_batch": None, "temp": 0.8, "model": None, "shift": False,
    "special": False, "color": "auto", "stop": [],
}  # fmt: skip


@pytest.mark.parametrize(
    "args, changed",
    [
        ([], {}),
        (["-n", "-2"], {"n_predict": -2}),
        (["--n_predict", "7"], {"n_predict": 7}),
        (["--n-predict=7"], {"n_predict": 7}),
        (["-t", "1", "-tb", "2"], {"threads": 1, "threads_batch": 2}),
        (["--temp", "0"], {"temp": 0.0}),
        (["-m", "a/b.gguf"], {"model": Path("a/b.gguf")}),
        (["--context-shift"], {"shift": True}),
        (["--context_shift", "--no-context-shift"], {"shift": False}),
        (["-sp"], {"special": True}),
        (["--color"], {"color": "on"}),
        (["--color", "-sp"], {"color": "on", "special": True}),
        (["--color", "off"], {"color": "off"}),
        (["--color", "1"], {"color": "on"}),
        (["-r", "a", "-r", "b"], {"stop": ["a", "b"]}),
        (["-r", "--temp"], {"stop": ["--temp"]}),
        (["word"], {"name": "word"}),
        (["--", "-n"], {"name": "-n"}),
    ],
)
def test_options_are_read(args: list[str], changed: Seen) -> None:
    assert call(*args) == DEFAULTS | changed


@pytest.mark.parametrize(
    "args, message",
    [
        (["--frobnicate"], "invalid argument: --frobnicate"),
        (["-n32"], "invalid argument: -n32"),
        (["-x"], "invalid argument: -x"),
        (["one", "two"], "invalid argument: two"),
        (["-n"], "-n needs a value"),
        (["-n", "many"], "-n: 'many' is not a whole number"),
        (["--temp", "hot"], "--temp: 'hot' is not a number"),
        (["--color=red"], "--color: 'red' is not on, off or auto"),
        (["--special=yes"], "--special takes no value"),
    ],
)
def test_a_bad_command_line_names_what_is_wrong(args: list[str], message: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        call(*args)
    assert str(error.value) == message
    assert error.value.exit_code == 1


@pytest.mark.parametrize(
    "args",
    [
        ["-ngl", "99"], ["--n_gpu_layers", "all"], ["-fa"], ["-fa", "on"], ["--flash-attn", "auto"], ["-fa", "0,1"],
        ["-nkvo"], ["-nkvo", "1"], ["-sm", "layer", "-mg", "0", "-ts", "1,1"], ["-no-cnv"],
    ],
)  # fmt: skip
def test_options_for_an_accelerator_are_passed_over_silently(
    args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*args, "-n", "3") == DEFAULTS | {"n_predict": 3}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("args", [["--mlock"], ["--prio", "2"], ["--numa=distribute"]])
def test_options_that_ask_for_what_is_not_done_say_so(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*args) == DEFAULTS
    assert capsys.readouterr().err == f"warn: {args[0].split('=')[0]} has no effect in llamakit\n"


def test_the_last_of_repeated_options_counts_and_a_warning_tells(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("-n", "1", "--predict", "2")["n_predict"] == 2
    assert "more than once" in capsys.readouterr().err


@pytest.mark.parametrize(
    "variables, changed",
    [
        ({"N_PREDICT": "5"}, {"n_predict": 5}),
        ({"N_PREDICT": ""}, {}),
        ({"MODEL": "x.gguf"}, {"model": Path("x.gguf")}),
        ({"CONTEXT_SHIFT": "on"}, {"shift": True}),
        ({"CONTEXT_SHIFT": "0"}, {"shift": False}),
        ({"NO_CONTEXT_SHIFT": ""}, {"shift": False}),
        ({"SPECIAL": "1"}, {"special": True}),
        ({"SPECIAL": "0"}, {}),
    ],
)
def test_variables_set_options(variables: dict[str, str], changed: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"LLAMA_ARG_{name}", value)
    assert call() == DEFAULTS | changed


def test_the_command_line_beats_a_variable_and_a_warning_tells(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLAMA_ARG_N_PREDICT", "5")
    assert call("-n", "6")["n_predict"] == 6
    assert "LLAMA_ARG_N_PREDICT is set, but -n" in capsys.readouterr().err


def test_a_variable_that_asks_for_what_is_not_done_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLAMA_ARG_MMPROJ", "vision.gguf")
    monkeypatch.setenv("LLAMA_ARG_AGENT", "off")
    assert call() == DEFAULTS
    assert capsys.readouterr().err == "warn: LLAMA_ARG_MMPROJ has no effect in llamakit\n"


def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_ARG_N_PREDICT", "many")
    with pytest.raises(InvalidArgument, match="LLAMA_ARG_N_PREDICT: 'many' is not a whole number"):
        call()


def test_help_shows_every_spelling_and_exits_0(capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("-h", "--help", "--usage"):
        with pytest.raises(typer.Exit) as done:
            call("-n", "1", flag)
        assert done.value.exit_code == 0
        shown = capsys.readouterr().out
        assert "-n, --predict, --n-predict" in shown
        assert "LLAMA_ARG_N_PREDICT" in shown


@pytest.mark.parametrize(
    "texts, overrides",
    [
        ([], {}),
        (["a.b=int:3"], {"a.b": 3}),
        (["a=float:-1e-3", "b=bool:true"], {"a": -1e-3, "b": True}),
        (["a=int:3,b=str:x,y=z,c=bool:false"], {"a": 3, "b": "x,y=z", "c": False}),
        (["a=str:"], {"a": ""}),
    ],
)
def test_metadata_overrides_are_typed(texts: list[str], overrides: Seen) -> None:
    assert parse_overrides(texts) == overrides


@pytest.mark.parametrize("text", ["", "a", "a=3", "a=long:3", "a=int:x", "a=bool:1", "=int:3", "a=int:3,b"])
def test_a_malformed_override_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_overrides([text])
