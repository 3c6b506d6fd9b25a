"""`llamakit tokenize`: the lines of llama-tokenize, ids, JSON, colours."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from llamakit.cli.app import run
from llamakit.cli.tokenize import coloured, visible
from llamakit.tools.tokenize import Token
from tests.core.vocab.vocabs import bpe_metadata, spm_metadata, write_vocab

Capture = pytest.CaptureFixture[bytes]


@pytest.fixture
def model(tmp_path: Path) -> str:
    metadata = spm_metadata([("▁a", 0.0), ("b", 0.0)])
    return str(write_vocab(tmp_path / "v.gguf", metadata))


def shown(capfdbinary: Capture, *args: str) -> bytes:
    assert run(["tokenize", *args]) == 0
    return capfdbinary.readouterr().out


def test_lines_are_those_of_llama_tokenize(model: str, capfdbinary: Capture) -> None:
    lines = b"     1 -> '<s>'\n   260 -> ' a'\n   261 -> 'b'\n   199 -> '\xc3'\n   173 -> '\xa9'\n"
    assert shown(capfdbinary, "-m", model, "-p", "abé") == lines
    assert shown(capfdbinary, "-m", model, "-p", "ab", "--show-count").endswith(b"\nTotal number of tokens: 3\n")


@pytest.mark.parametrize(
    "args, ids",
    [
        (["-p", "ab"], [1, 260, 261]),
        (["-p", "ab", "--no-bos"], [260, 261]),
        (["-p", r"\x62"], [1, 3, 261]),
        (["-p", r"b\n", "--no-bos"], [3, 261, 4 + 10]),
        (["-p", r"b\n", "--no-bos", "--no-escape"], [3, 261, 4 + 92, 4 + 110]),
        (["-p", "</s>"], [1, 2]),
        (["-p", "</s>", "--no-parse-special"], [1, 3, *(4 + byte for byte in b"</s>")]),
        (["-p", ""], [1]),
    ],
)
def test_options_say_how_a_text_is_read(model: str, args: list[str], ids: list[int], capfdbinary: Capture) -> None:
    assert json.loads(shown(capfdbinary, "-m", model, "--ids", *args)) == ids


def test_a_file_and_standard_input_are_taken_whole(
    model: str, tmp_path: Path, capfdbinary: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.txt").write_bytes(b"b\xff\n")
    assert shown(capfdbinary, "-m", model, "--ids", "-f", str(tmp_path / "t.txt")) == b"[1, 3, 261, 259, 14]\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"b")))
    assert shown(capfdbinary, "-m", model, "--ids", "--stdin") == b"[1, 3, 261]\n"


@pytest.mark.parametrize("more", [["-f", "/no/such.txt"], ["--stdin"]])
def test_a_text_has_one_source(model: str, more: list[str], capfdbinary: Capture) -> None:
    assert run(["tokenize", "-m", model, "-p", "a", *more]) == 1
    assert b"--stdin, --file and --prompt are mutually exclusive" in capfdbinary.readouterr().err


def test_json_holds_ids_and_pieces(model: str, capfdbinary: Capture) -> None:
    found = json.loads(shown(capfdbinary, "-m", model, "--json", "-p", "a"))
    assert found["tokens"][1] == {"id": 260, "piece": " a", "control": False}
    assert found["n_tokens"] == 2


def test_colours_part_the_tokens_and_show_what_has_no_shape() -> None:
    tokens = [Token(0, b"<s>", True), Token(1, b"a\n", False), Token(2, b"b\x1b", False), Token(3, b"\xc3", False)]
    lines = coloured(tokens)
    assert lines == "\x1b[97;41m<s>\x1b[0m\x1b[30;42ma↵\x1b[0m\n\x1b[30;43mb\\x1b\x1b[0m\x1b[30;45m\\xc3\x1b[0m"
    assert visible(b"\t\xf0\x9f\x98\x80") == "→\t😀"


def test_colour_is_for_those_who_ask_and_for_screens(model: str, capfdbinary: Capture) -> None:
    assert b"\x1b[" in shown(capfdbinary, "-m", model, "--color", "-p", "a")
    assert b"\x1b[" not in shown(capfdbinary, "-m", model, "-p", "a")


def test_warnings_can_be_left_out(model: str, caplog: pytest.LogCaptureFixture) -> None:
    assert run(["tokenize", "-m", model, "-p", "<s>a", "--log-disable"]) == 0
    assert caplog.text == ""
    assert run(["tokenize", "-m", model, "-p", "<s>a"]) == 0
    assert "begins with a BOS of its own" in caplog.text


@pytest.mark.parametrize(
    "args, message",
    [
        ([], b"give one with --prompt, --file or --stdin"),
        (["-f", "nowhere.txt"], b"nowhere.txt: No such file"),
        (["-p", "a", "-m", "nowhere.gguf"], b"nowhere.gguf"),
    ],
)
def test_what_is_missing_is_said_in_a_line(model: str, args: list[str], message: bytes, capfdbinary: Capture) -> None:
    assert run(["tokenize", *args, *([] if "-m" in args else ["-m", model])]) in (1, 2)
    err = capfdbinary.readouterr().err
    assert message in err and err.count(b"\n") == 1


def test_an_unknown_pre_tokenizer_is_an_error(tmp_path: Path, capfdbinary: Capture) -> None:
    path = write_vocab(tmp_path / "v.gguf", bpe_metadata(pre="nonesuch", merges=["a b"]))
    assert run(["tokenize", "-m", str(path), "-p", "a"]) == 2
    assert b"pre-tokenizer 'nonesuch' is not supported" in capfdbinary.readouterr().err
