"""`chat` through pipes: answers on stdout, everything else on stderr; what the options do."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from llamakit.cli.app import run
from tests.api.model import TINY
from tests.cli.chat.terminal import Terminal
from tests.tiny import write_tiny

Capture = pytest.CaptureFixture[str]
CAT = 'root ::= "cat" [0-9] "."'
ANSWER = r"cat\d\."
NO_TEMPLATE = "the model has no chat template: chatml is used; --chat-template names another one\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", TINY))


@pytest.fixture(autouse=True)
def own_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def chat(model: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture):
    """Run the command with a standard input; its exit code, stdout and stderr."""

    def run_it(stdin: str, *args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = run(["chat", "-m", model, "-s", "1", "-n", "8", *args])
        out, err = capsys.readouterr()
        return code, out, err.replace(NO_TEMPLATE, "")

    return run_it


def test_each_line_of_a_pipe_is_a_message(chat) -> None:
    code, out, err = chat("one\n\ntwo\\\nthree\n", "--grammar", CAT)
    assert code == 0
    assert re.fullmatch(f"{ANSWER}\n{ANSWER}\n", out)
    assert [line.split()[1] for line in err.splitlines()] == ["prompt", "prompt"]
    assert "\x1b" not in out + err


def test_a_single_turn_takes_all_of_the_pipe(chat) -> None:
    code, out, _ = chat("one\ntwo\n", "-st", "--grammar", CAT)
    assert code == 0
    assert re.fullmatch(f"{ANSWER}\n", out)


def test_a_prompt_is_the_first_message_and_a_single_turn_then_reads_nothing(chat) -> None:
    code, out, _ = chat("never read\n", "-st", "-p", "hi", "--grammar", CAT, "--log-disable")
    assert (code, len(out.splitlines())) == (0, 1)


def test_messages_follow_a_prompt(chat) -> None:
    code, out, err = chat("and\n", "-p", "hi", "--grammar", CAT, "--log-disable")
    assert (code, len(out.splitlines()), err) == (0, 2, "")


@pytest.mark.parametrize("args", [("-sys", "be\\nbrief"), ("-sysf", "FILE")])
def test_the_system_message_comes_first(args: tuple[str, ...], chat, tmp_path: Path) -> None:
    (tmp_path / "system.txt").write_text("be\nbrief\n")
    args = tuple(str(tmp_path / "system.txt") if arg == "FILE" else arg for arg in args)
    code, _, err = chat("/system\n", *args)
    assert code == 0
    assert err == "system message: be\nbrief\n"


def test_the_conversation_is_written_to_a_file(chat, tmp_path: Path) -> None:
    path = tmp_path / "talk.txt"
    chat("one\n", "--grammar", CAT, "-o", str(path))
    assert re.fullmatch(f"User:\none\n\nAssistant:\n{ANSWER}\n\n", path.read_text())


def test_a_saved_conversation_goes_on_where_it_was_left(chat, tmp_path: Path) -> None:
    file, state = str(tmp_path / "talk.json"), str(tmp_path / "talk.state")
    _, whole, _ = chat("one\ntwo\nthree\n", "--temp", "2", "--log-disable")
    _, begin, _ = chat(f"one\ntwo\n/save {file}\n", "--temp", "2", "--log-disable", "--prompt-cache", state)
    _, end, err = chat(f"/load {file}\nthree\n", "--temp", "2", "--prompt-cache", state)
    assert begin + end == whole
    n_new, n_kept = map(int, re.search(r"prompt (\d+) \+ (\d+) kept", err).groups())
    assert n_kept > n_new


def test_without_a_template_text_goes_back_and_forth(chat) -> None:
    args = ("-i", "-r", ".", "--in-prefix", "\\n<", "--in-suffix", "> ", "-p", "cat cat", "--grammar", CAT)
    code, out, err = chat("one\n", *args)
    assert code == 0
    assert re.fullmatch(rf" ?cat cat{ANSWER}\n<> {ANSWER}\n<\n?", out)
    assert err == ""


def test_prefix_and_suffix_turn_the_template_off_and_are_not_shown_in_a_conversation(chat) -> None:
    code, out, _ = chat("one\n", "-cnv", "--in-prefix", "<", "--no-display-prompt", "-if", "--grammar", CAT)
    assert code == 0
    assert re.fullmatch(f"{ANSWER}\n", out)


@pytest.mark.parametrize(
    "stdin, args, code, complaint",
    [
        ("hi\n", ("--chat-template", "nonsense"), 2, "there is no chat template 'nonsense'"),
        ("hi\n", ("--chat-template", "{% if %}"), 2, "template"),
        ("x" * 300 + "\n", ("-c", "64"), 1, "this turn is too long: "),
        ("/load /no/such\n", (), 2, "/no/such: No such file"),
        ("/nonsense\n", (), 2, "there is no command /nonsense"),
        ("", ("--grammar", "root ::= ("), 2, "GBNF, line 1, column 11"),
        ("", ("--image", "cat.png"), 2, "cat.png: models of text take no images"),
        ("hi\n", ("-o", "/no/such/file"), 2, "/no/such/file: No such file"),
        ("", ("-sysf", "/no/such"), 2, "/no/such: No such file"),
    ],
)
def test_errors_are_one_line(stdin: str, args: tuple[str, ...], code: int, complaint: str, chat) -> None:
    got, out, err = chat(stdin, *args)
    assert got == code
    assert out == ""
    assert err.startswith("error: ") and err.count("\n") == 1
    assert complaint in err


@pytest.mark.parametrize("args, is_told", [((), True), (("--chat-template", "llama3"), False), (("-i",), False)])
def test_a_model_without_a_template_is_told_of(
    args: tuple[str, ...], is_told: bool, model: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert run(["chat", "-m", model, "-n", "1", *args]) == 0
    assert (NO_TEMPLATE in capsys.readouterr().err) is is_told


def test_help_imports_nothing_heavy() -> None:
    code = "from llamakit.cli.app import run; run(['chat', '--help']); import sys; print(*sys.modules, sep='\\n')"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {line.split(".")[0] for line in result.stdout.splitlines()}
    assert "typer" in loaded
    assert not loaded & {"numpy", "numba", "jinja2", "rich", "prompt_toolkit", "tokenizers"}


def test_the_whole_command_in_a_terminal(model: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "llamakit", "chat", "-m", model, "-n", "8", "--grammar", CAT]
    with Terminal(command, env={"XDG_STATE_HOME": str(tmp_path)}) as t:
        t.seen("tiny.gguf, 256 tokens of context; /help lists commands")
        t.prompted()
        t.type("hé\r")
        t.wait(lambda: any(re.fullmatch(ANSWER, line) for line in t.lines), "no answer")
        t.seen("[ prompt ")
        t.prompted()
        t.type("/exit\r")
        assert t.exit_code() == 0
    assert "\n+hé\n" in (tmp_path / "llamakit" / "chat_history").read_text()


def test_a_prompt_cache_may_be_only_read_and_its_whole_asked_for(chat, tmp_path: Path) -> None:
    state = tmp_path / "state.bin"
    assert chat("one\n", "--prompt-cache", str(state), "--prompt-cache-all")[0] == 0
    kept = state.read_bytes()
    code, _, err = chat("one\n", "--prompt-cache", str(state), "--prompt-cache-ro")
    assert code == 0 and state.read_bytes() == kept
    assert re.search(r"prompt 1 \+ \d+ kept", err)


def test_self_extend_is_the_same_as_with_run(chat) -> None:
    assert chat("one\n", "-gan", "3", "-gaw", "512")[0] == 2
    plain, squeezed = (
        chat("one\n", "-n", "60", "-c", "64", "--temp", "0", *more) for more in ([], ["-gan", "4", "-gaw", "16"])
    )
    assert (plain[0], squeezed[0]) == (0, 0)
    assert plain[1] != squeezed[1]


def test_colour_that_is_asked_for_goes_through_pipes(chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    told = ["-i", "-p", "cat", "--grammar", CAT]
    plain, coloured = (chat("", *told, "--color", word)[1] for word in ("auto", "on"))
    assert "\x1b" not in plain
    assert "\x1b[" in coloured and re.sub(r"\x1b\[[\d;]*m", "", coloured) == plain
