"""Clues, answers, and the command that asks."""

from __future__ import annotations

import json

import pytest

from llamakit.cli.app import run
from llamakit.errors import UsageError
from llamakit.tools.evaluation.jeopardy import Clue, is_right, read_clues

from ...api.model import TINY
from ...tiny import write_tiny

SHEET = """Index,Original Category,Original Correct Question,Model Prompt
1,CITIES,What is Paris?,"It is the capital of France, and of fashion."
2,PEOPLE,Who is Curie?,She found radium.
"""


def test_clues_are_lines_or_rows_of_a_sheet(tmp_path):
    (tmp_path / "clues.txt").write_text("First.\n\n Second. \n")
    assert read_clues(tmp_path / "clues.txt") == [Clue("First."), Clue("Second.")]
    (tmp_path / "sheet.csv").write_text(SHEET)
    assert read_clues(tmp_path / "sheet.csv")[0] == Clue(
        "It is the capital of France, and of fashion.", "What is Paris?", "CITIES"
    )
    (tmp_path / "bare.csv").write_text(SHEET.partition("\n")[2].replace("\n", "\r"))
    assert read_clues(tmp_path / "bare.csv") == read_clues(tmp_path / "sheet.csv")
    for name, text in (("empty.txt", "\n"), ("thin.csv", "a,b\nc,d\n")):
        (tmp_path / name).write_text(text)
        with pytest.raises(UsageError, match=name):
            read_clues(tmp_path / name)


def test_a_file_that_is_not_there_is_named_once():
    with pytest.raises(UsageError) as caught:
        read_clues("/nope")
    assert str(caught.value) == "/nope: No such file or directory"


@pytest.mark.parametrize(
    "answer, right, verdict",
    [
        ("What is Paris?", "What is Paris?", True),
        ("I think it is PARIS, France.", "What is Paris?", True),
        ("Who was Marie Curie?", "Who is Curie?", True),
        ("What are the Beatles", "Who are The Beatles?", True),
        ("Café Müller", "cafe muller", True),
        ("What is London?", "What is Paris?", False),
        ("Parisian", "What is Paris?", False),
        ("", "What is Paris?", False),
    ],
)
def test_what_every_answer_begins_with_does_not_count(answer, right, verdict):
    assert is_right(answer, right) is verdict


def test_the_command_asks_and_counts(tmp_path, capsys):
    model = str(write_tiny(tmp_path / "tiny.gguf", TINY))
    (tmp_path / "sheet.csv").write_text(SHEET)
    base = ["jeopardy", model, "-f", str(tmp_path / "sheet.csv"), "-n", "8", "-t", "1"]
    assert run([*base, "-o", str(tmp_path / "answers.txt")]) == 0
    assert "of 2 right" in capsys.readouterr().out
    assert (tmp_path / "answers.txt").read_text().count("------\n") == 2
    assert run([*base, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["n_judged"] == 2 and [answer["category"] for answer in made["answers"]] == ["CITIES", "PEOPLE"]
    assert run([*base, "-o", str(tmp_path / "none/answers.txt")]) == 2
    assert "cannot write" in capsys.readouterr().err
    assert run(["jeopardy", "-m", model]) == 1
    assert "-f" in capsys.readouterr().err
