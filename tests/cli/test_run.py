"""`llamakit run`: the text on stdout, everything else on stderr."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from llamakit.cli.app import run
from llamakit.cli.options.prompt import unescape
from llamakit.cli.run import show_prompt
from llamakit.tools.catalog import DEMO
from tests.fake_engine import FakeEngine

Capture = pytest.CaptureFixture[str]


def test_prompt_and_text_go_to_stdout_and_timings_to_stderr(fake_engine: FakeEngine, capsys: Capture) -> None:
    fake_engine.script = list(b" world")
    assert run(["run", "-m", "x.gguf", "-p", "hello"]) == 0
    out, err = capsys.readouterr()
    assert out == "hello world [end of text]\n"
    assert [line.split(":")[1].split("=")[0].strip() for line in err.strip().splitlines()] == [
        "sampling time",
        "load time",
        "prompt eval time",
        "eval time",
        "total time",
    ]
    assert fake_engine.is_closed()


@pytest.mark.parametrize(
    "args, out",
    [
        (["--no-display-prompt"], "abc [end of text]\n"),
        (["-n", "2"], "pab\n"),
        (["--n_predict", "2"], "pab\n"),
        (["-r", "b"], "pab\n"),
        (["--special"], "<s>pabc</s> [end of text]\n"),
    ],
)
def test_options_change_what_is_printed(args: list[str], out: str, fake_engine: FakeEngine, capsys: Capture) -> None:
    fake_engine.script = list(b"abc")
    assert run(["run", "-m", "x.gguf", "-p", "p", *args]) == 0
    assert capsys.readouterr().out == out


def test_log_disable_leaves_stderr_empty(fake_engine: FakeEngine, capsys: Capture) -> None:
    assert run(["run", "-m", "x.gguf", "-p", "p", "--log-disable"]) == 0
    assert capsys.readouterr().err == ""


def test_options_reach_the_engine(fake_engine: FakeEngine) -> None:
    options = "-c 32 -b 16 -ub 8 -t 1 -tb 2 -ctk q8_0 -ctv bf16 --no-mmap --override-kv a.b=int:3"
    assert run(["run", "-m", "x.gguf", "-p", "p", *options.split()]) == 0
    model, context = fake_engine.asked
    assert model == {"path": "x.gguf", "overrides": {"a.b": 3}, "use_mmap": False}
    wanted = {
        "n_ctx": 32, "n_batch": 16, "n_ubatch": 8, "n_threads": 1, "n_threads_batch": 2, "type_k": "q8_0",
        "type_v": "bf16", "report": None,
    }  # fmt: skip
    assert context == wanted


def test_the_engine_chooses_what_is_not_said(fake_engine: FakeEngine) -> None:
    assert run(["run", "-m", "x.gguf", "-p", "p"]) == 0
    context = fake_engine.asked[1]
    assert (context["n_ctx"], context["n_threads"], context["n_threads_batch"]) == (128, None, None)


def test_without_a_model_the_demo_is_fetched_and_used(
    fake_engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMAKIT_CACHE", str(tmp_path))
    monkeypatch.setattr("llamakit.tools.pull.pull", lambda name, report: Path(f"/cache/{name}.gguf"))
    assert run(["run", "-p", "p"]) == 0
    assert fake_engine.asked[0]["path"] == "/cache/demo.gguf"


def test_a_demo_that_was_fetched_is_used_as_it_is(
    fake_engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / DEMO.file_name
    with path.open("wb") as file:
        file.truncate(DEMO.size)
    monkeypatch.setenv("LLAMAKIT_CACHE", str(tmp_path))
    monkeypatch.delitem(sys.modules, "llamakit.tools.pull", raising=False)
    assert run(["run", "-p", "p"]) == 0
    assert fake_engine.asked[0]["path"] == str(path)
    assert "llamakit.tools.pull" not in sys.modules


def prompt_seen(engine: FakeEngine) -> bytes:
    return bytes(engine.contexts[-1].cells[1:])


def test_the_prompt_comes_from_a_file_without_its_last_newline(fake_engine: FakeEngine, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("a\\tb\n\n")
    assert run(["run", "-m", "x.gguf", "-f", str(tmp_path / "p.txt")]) == 0
    assert prompt_seen(fake_engine) == b"a\tb\n"


def test_a_binary_file_is_taken_as_it_is(fake_engine: FakeEngine, tmp_path: Path) -> None:
    (tmp_path / "p.bin").write_bytes(b"\xff\\t\n")
    assert run(["run", "-m", "x.gguf", "-bf", str(tmp_path / "p.bin")]) == 0
    assert prompt_seen(fake_engine) == b"\xff\\t\n"


def pipe(data: bytes) -> SimpleNamespace:
    return SimpleNamespace(isatty=lambda: False, buffer=io.BytesIO(data))


@pytest.mark.parametrize(
    "data, seen", [(b"a\\tb\n", b"a\\tb"), (b"x" * 99, b"x" * 99), (b"\xff\x00", "\ufffd\0".encode())]
)
def test_fault_94_standard_input_is_the_prompt(
    data: bytes, seen: bytes, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", pipe(data))
    assert run(["run", "-m", "x.gguf", "-c", "4096"]) == 0
    assert prompt_seen(fake_engine) == seen


def test_fault_94_closed_standard_input_is_an_empty_prompt(
    fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert run(["run", "-m", "x.gguf"]) == 0  # BOS alone
    assert capsys.readouterr().out == " [end of text]\n"


def test_a_missing_prompt_file_is_named(fake_engine: FakeEngine, capsys: Capture) -> None:
    assert run(["run", "-m", "x.gguf", "-f", "/no/such"]) == 2
    assert capsys.readouterr().err == "error: /no/such: No such file or directory\n"


def test_a_prompt_that_is_too_long_is_one_line(fake_engine: FakeEngine, capsys: Capture) -> None:
    assert run(["run", "-m", "x.gguf", "-c", "16", "-p", "x" * 40]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: prompt is too long (41 tokens, max 12)")
    assert fake_engine.is_closed()


def test_ctrl_c_ends_with_the_timings_and_130(fake_engine: FakeEngine, capsys: Capture) -> None:
    fake_engine.script, fake_engine.interrupt_at = list(b"abcdef"), 3
    assert run(["run", "-m", "x.gguf", "-p", "p"]) == 130
    out, err = capsys.readouterr()
    assert out == "pabc\n"
    assert "eval time" in err
    assert err.endswith("Interrupted by user\n")
    assert fake_engine.is_closed()


def test_a_full_context_says_why_it_stopped(fake_engine: FakeEngine, capsys: Capture) -> None:
    fake_engine.script = list(b"abcdef" * 9)
    assert run(["run", "-m", "x.gguf", "-c", "16", "-p", "p"]) == 0
    assert "context full and context shift is disabled => stopping" in capsys.readouterr().err


def test_verbose_prompt_lists_the_tokens(fake_engine: FakeEngine, capsys: Capture) -> None:
    assert run(["run", "-m", "x.gguf", "-p", "hi", "--verbose-prompt"]) == 0
    err = capsys.readouterr().err
    assert "number of tokens in prompt = 3\n   256 -> '<s>'\n   104 -> 'h'\n   105 -> 'i'\n" in err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "stream, color, variables, shown",
    [
        (Terminal(), "auto", {}, "\x1b[33mhi\x1b[0m"),
        (Terminal(), "on", {}, "\x1b[33mhi\x1b[0m"),
        (Terminal(), "off", {}, "hi"),
        (Terminal(), "auto", {"NO_COLOR": "1"}, "hi"),
        (Terminal(), "auto", {"TERM": "dumb"}, "hi"),
        (io.StringIO(), "auto", {}, "hi"),
        (io.StringIO(), "on", {"NO_COLOR": "1"}, "\x1b[33mhi\x1b[0m"),
    ],
)
def test_colour_is_for_terminals_that_want_it_and_for_who_asks(
    stream: io.StringIO, color: str, variables: dict[str, str], shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", stream)
    show_prompt("hi", color)
    assert stream.getvalue() == shown


@pytest.mark.parametrize(
    "text, plain",
    [
        (r"a\nb\tc\r", "a\nb\tc\r"),
        (r"\"\'\\n", "\"'\\n"),
        (r"\xe4\xbd\xa0", "你"),
        (r"\q\x", r"\q\x"),
        ("tail\\", "tail\\"),
        ("é", "é"),
    ],
)
def test_escapes_are_read_as_llama_cpp_does(text: str, plain: str) -> None:
    assert unescape(text) == plain
