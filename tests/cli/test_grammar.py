"""`llamakit grammar`: what it says of grammars and texts, and its exit codes."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from llamakit.cli.app import run

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("list.gbnf").write_text('root ::= ("- " [a-zé]+ "\\n")+')
    Path("schema.json").write_text('{"type": "integer", "minimum": 10}')
    Path("wrong.gbnf").write_text('root ::= "a" |\nroot ::=')
    Path("good").write_text("- one\n- été\n", encoding="utf-8")
    Path("bad").write_text("- one\n- éA\n", encoding="utf-8")
    Path("short").write_text("- one\n-")
    Path("ten").write_text("10\n")
    Path("nine").write_text("9")


@pytest.mark.parametrize(
    "args, code, said",
    [
        ("list.gbnf", 0, "The grammar is sound: "),
        ("list.gbnf good", 0, "The text is one of the grammar's."),
        ("list.gbnf bad", 1, "bad: line 2, column 4: found 'A\\n', expected '\\n', 'a', 'b', 'c', 'd', "),
        ("list.gbnf short", 1, "short: line 2, column 2: the text ends, expected ' '"),
        ("schema.json ten", 0, "The text is one"),
        ("schema.json nine", 1, "nine: line 1, column 2: the text ends, expected '0', '1', "),
        ("--regex [é0-9]{2} ten", 0, "The text is one"),
        ("--regex [é-ë] ten", 1, "ten: line 1, column 1: found '10\\n', expected characters beyond ASCII"),
        ("-j {} nine", 0, "The text is one"),
    ],
)
def test_a_text_is_one_of_the_grammar_or_it_is_said_where_it_is_not(
    args: str, code: int, said: str, capsys: Capture
) -> None:
    assert run(["grammar", *args.split()]) == code
    out = capsys.readouterr()
    assert out.out.startswith(said) and out.err == ""


def test_a_text_may_come_from_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"12")))
    assert run(["grammar", "schema.json", "-"]) == 0
    assert capsys.readouterr().out == "The text is one of the grammar's.\n"


@pytest.mark.parametrize(
    "args, message",
    [
        ("", "name a file with a grammar"),
        ("none.gbnf", "none.gbnf: No such file"),
        ("list.gbnf none", "none: No such file"),
        ("wrong.gbnf", "wrong.gbnf: GBNF, line 2, column 6: "),
        ("-j [] nine", "JSON schema, at its root: a schema is an object or a boolean"),
        ("-j {} nine ten", "ten: only one text can be tested"),
    ],
)
def test_what_cannot_be_checked_is_an_error(args: str, message: str, capsys: Capture) -> None:
    assert run(["grammar", *args.split()]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
