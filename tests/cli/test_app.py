"""What becomes of commands, errors and closed pipes (fault 94 among them)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from llamakit import __version__
from llamakit.__main__ import main
from llamakit.cli import app
from llamakit.cli.app import COMMANDS, Command, Group, dispatch, run
from llamakit.errors import GGUFError, KernelError


def fail(error: BaseException, monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    """The exit code of a command that raises `error`."""

    def raise_it(*_: object) -> int:
        raise error

    monkeypatch.setattr(app, "dispatch", raise_it)
    return run(args)


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in COMMANDS)


def test_no_command_shows_the_help_and_exits_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 1
    assert "Commands:" in capsys.readouterr().out


@pytest.mark.parametrize("command", [[], ["server"], ["gguf", "dump"]])
def test_version(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--version"]) == 0
    assert capsys.readouterr().out == f"llamakit {__version__}\n"


@pytest.mark.parametrize("args", [["frobnicate"], ["--frobnicate"], ["gguf", "frobnicate"], ["run", "--frobnicate"]])
def test_an_unknown_word_is_an_invalid_argument(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(args) == 1
    assert capsys.readouterr().err.startswith(f"error: invalid argument: {args[-1]}")


@pytest.mark.parametrize("name", [name for name, entry in COMMANDS.items() if isinstance(entry, Command)])
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch("llamakit", Group("", COMMANDS), [name, "--help"]) == 0
    assert f"Usage: llamakit {name}" in capsys.readouterr().out


def test_a_users_error_is_one_line_with_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fail(GGUFError("a.gguf", 4, "bad magic"), monkeypatch) == 2
    assert capsys.readouterr().err == "error: a.gguf at byte 4: bad magic\n"
    assert fail(KernelError("does not compile:\nwhat the compiler says"), monkeypatch) == 1
    assert capsys.readouterr().err == "error: does not compile: what the compiler says\n"


def test_verbose_adds_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert fail(GGUFError("a.gguf", 4, "bad magic"), monkeypatch, "-v") == 2
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.endswith("error: a.gguf at byte 4: bad magic\n")


def test_our_own_fault_is_one_line_that_asks_for_a_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fail(ZeroDivisionError("division by zero"), monkeypatch) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("error: ZeroDivisionError: division by zero - ")
    assert "report" in shown
    assert shown.count("\n") == 1


def test_ctrl_c_exits_130_quietly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert fail(KeyboardInterrupt(), monkeypatch) == 130
    assert capsys.readouterr().err == ""


def llamakit(*args: str, **more: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "llamakit", *args]
    root = Path(__file__).parents[2]
    return subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, **more)


def test_fault_94_a_reader_that_goes_away_is_no_error() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = llamakit("run", "--help", stdout=write_end)
    os.close(write_end)
    assert process.communicate()[1] == b""
    assert process.returncode == 141


def test_fault_94_closed_stdin_and_stdout_are_no_error() -> None:
    process = subprocess.run(
        f"exec {sys.executable} -m llamakit --help <&- >&-",
        shell=True, stderr=subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert process.stderr == b""
    assert process.returncode == 0


@pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1"])
def test_fault_94_text_is_utf8_whatever_the_locale(locale: str) -> None:
    code = "import sys; from llamakit import __main__; from llamakit.cli import app\n"
    code += "app.run = lambda args: print('h\\xe9 \\u4f60') or 0\n__main__.main()"
    environment = {**os.environ, "LC_ALL": locale, "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    process = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment, cwd=Path(__file__).parents[2]
    )
    assert process.stdout.decode("utf-8") == "hé 你\n"


@pytest.mark.parametrize("given, used", [(None, "1"), ("3", "3")])
def test_numpy_starts_no_threads_of_its_own_unless_asked(
    given: str | None, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", given or "")
    if given is None:
        monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    monkeypatch.setattr(app, "run", lambda args: 0)
    with pytest.raises(SystemExit):
        main()
    assert os.environ["OPENBLAS_NUM_THREADS"] == used
