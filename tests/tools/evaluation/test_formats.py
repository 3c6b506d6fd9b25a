"""Tasks in the formats they come in."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from llamakit.errors import UsageError
from llamakit.tools.evaluation.formats import read_suite, suite_of
from llamakit.tools.evaluation.question import Question

ASSETS = Path(__file__).parents[4] / "shared/assets"


def lines(*records):
    return "\n".join(json.dumps(record) for record in records).encode()


ARC_STEM = {"stem": "What is wet?", "choices": [{"text": "sand", "label": "A"}, {"text": "rain", "label": "B"}]}
HELLASWAG = {"ctx": "A man sits", "endings": ["down.", "up.", "off.", "in."], "label": "2", "activity_label": "Sitting"}
MMLU_LINE = "What is wet?,sand,rain,fire,stone,B\n"
FOUR, LETTERS = ["sand", "rain", "fire", "stone"], (" A", " B", " C", " D")
MMLU_PROMPT = "What is wet?\nA. sand\nB. rain\nC. fire\nD. stone\nAnswer:"


@pytest.mark.parametrize(
    "data, kind, question",
    [
        (
            lines(HELLASWAG),
            "hellaswag",
            Question("Sitting: A man sits", (" down.", " up.", " off.", " in."), 2),
        ),
        (
            lines({"sentence": "The _ is wet.", "option1": "sand", "option2": "rain", "answer": "2"}),
            "winogrande",
            Question("The ", ("sand is wet.", "rain is wet."), 1),
        ),
        (
            lines({"question": ARC_STEM, "answerKey": "B"}),
            "arc",
            Question("Question: What is wet?\nAnswer:", (" sand", " rain"), 1),
        ),
        (
            lines({"question": "Wet?", "choices": {"text": ["sand", "rain"], "label": ["1", "2"]}, "answerKey": "1"}),
            "arc",
            Question("Question: Wet?\nAnswer:", (" sand", " rain"), 0),
        ),
        (MMLU_LINE.encode(), "mmlu", Question(MMLU_PROMPT, (" A", " B", " C", " D"), 1, "weather")),
        (
            b"question,A,B,C,D,answer\n" + MMLU_LINE.encode(),
            "mmlu",
            Question(MMLU_PROMPT, (" A", " B", " C", " D"), 1, "weather"),
        ),
        (
            lines(
                {
                    "question": "What is wet?",
                    "subject": "water",
                    "choices": ["sand", "rain", "fire", "stone"],
                    "answer": 1,
                }
            ),
            "mmlu",
            Question(MMLU_PROMPT, (" A", " B", " C", " D"), 1, "water"),
        ),
        (
            lines({"goal": "Get wet", "sol1": "rain", "sol2": "sand", "label": 0}),
            "piqa",
            Question("Question: Get wet\nAnswer:", (" rain", " sand"), 0),
        ),
        (
            lines({"question": "is rain wet", "passage": "Rain is wet.", "answer": True}),
            "boolq",
            Question("Rain is wet.\nQuestion: is rain wet?\nAnswer:", (" no", " yes"), 1),
        ),
        (
            lines({"question": "Wet?", "choices": ["sand", "rain"], "answer": "B"}),
            "choices",
            Question("Question: Wet?\nAnswer:", (" sand", " rain"), 1),
        ),
    ],
)
def test_a_format_is_told_by_what_is_in_the_file(data, kind, question):
    suite = suite_of(data, "weather", 0)
    assert (suite.kind, list(suite.items)) == (kind, [question])
    assert suite.groups == [question.group]


@pytest.mark.parametrize(
    "data, words",
    [
        (b"{not json", "line 1: is not JSON"),
        (lines({"a": 1}), "line 1: has none of the known sets of fields"),
        (lines({**HELLASWAG, "label": "4"}), "line 1: the answer '4' is none of the 4"),
        (lines(HELLASWAG, {**HELLASWAG, "endings": 5}), "line 2: a field is not what it is"),
        (
            lines({"sentence": "No gap.", "option1": "a", "option2": "b", "answer": "1"}),
            "line 1: the sentence has no _",
        ),
        (lines({"question": ARC_STEM, "answerKey": "E"}), "line 1: the answer 'E' is none of"),
        (b"What?,a,b,c,d,A\nWhat?,a,b\n", "line 2: 3 fields"),
        (b"What?,a,b,c,d,A\nWhat?,a,b,c,d,X\n", "line 2: the answer 'X'"),
        (b"[1]", "record 1: has none of the known sets of fields"),
        (b"[{]", "is not JSON"),
        (b"What?,a,b,c,d,E\n", "line 1: the answer 'E' is none of the 4"),
        (b"a,b\n", "line 1: is of no known format"),
        (b"1,The _ is wet.,sand,rain,2\rmore\n", "line 1: is not CSV"),
        (b"just\nsome\ntext\n", "line 1: is of no known format"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path, data, words):
    path = tmp_path / "weather.csv"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=f"weather.csv: {words}"):
        read_suite(path, "weather")


BOM = b"\xef\xbb\xbf"
RECORD = lines({"question": "Wet?", "choices": ["sand", "rain"], "answer": 1})
CHOICES = Question("Question: Wet?\nAnswer:", (" sand", " rain"), 1)
LINE = MMLU_LINE.encode()


def mmlu(stem, choices, right, group="weather"):
    lettered = "\n".join(f"{letter}. {choice}" for letter, choice in zip("ABCDE", choices, strict=False))
    letters = tuple(f" {letter}" for letter in "ABCDE"[: len(choices)])
    return Question(f"{stem}\n{lettered}\nAnswer:", letters, right, group)


MMLU = mmlu("What is wet?", FOUR, 1)
PRO = {"question": "What is wet?", "options": FOUR, "answer": "B", "answer_index": 1, "category": "sea"}


@pytest.mark.parametrize(
    "data, questions",
    [
        (b'"What\nis wet?",sand,rain,fire,stone,B\n' + LINE, [mmlu("What\nis wet?", FOUR, 1), MMLU]),
        (BOM + LINE, [MMLU]),
        (BOM + b'"What is wet?",sand,rain,fire,stone,B\n', [MMLU]),
        (LINE + b"\n" + LINE, [MMLU, MMLU]),
        (b"What is wet?,sand,rain,fire,stone,b\r" + LINE, [MMLU, MMLU]),
        (b"0," + LINE + b"1," + LINE, [MMLU, MMLU]),
        (b",question,A,B,C,D,answer\n7," + LINE, [MMLU]),
        (b"question,subject,A,B,C,D,answer\nWet?,sea,a,b,c,d,B\n", [mmlu("Wet?", "abcd", 1, "sea")]),
        (b"Wet?,a,b,c,d,e,E\n", [mmlu("Wet?", "abcde", 4)]),
        (b"Wet?,a,b,c,d,e,E\nDry?,a,b,,,,B\n", [mmlu("Wet?", "abcde", 4), mmlu("Dry?", "ab", 1)]),
        (b"Wet?,a,b,c," + b"x" * 140000 + b",D\n", [mmlu("Wet?", ["a", "b", "c", "x" * 140000], 3)]),
        (lines(PRO), [mmlu("What is wet?", FOUR, 1, "sea")]),
        (BOM + RECORD, [CHOICES]),
        (b"\n" + RECORD + b"\r\n\n" + RECORD, [CHOICES, CHOICES]),
        (b"[" + RECORD + b",\n " + RECORD + b"]", [CHOICES, CHOICES]),
        (
            RECORD.replace(b"Wet?", "W\u2028e\x85t?".encode()),
            [Question("Question: W\u2028e\x85t?\nAnswer:", (" sand", " rain"), 1)],
        ),
    ],
)
def test_ordinary_files_are_read(data, questions):
    assert suite_of(data, "weather", 0).items == questions


@pytest.mark.parametrize("data", [b"", b"\n \n", BOM, b"[]", b"question,A,B,C,D,answer\n"])
def test_a_file_without_tasks_is_said_to_have_none(data):
    with pytest.raises(UsageError, match="there are no tasks in it"):
        suite_of(data, "weather", 0)


def test_the_limit_of_fields_stays_what_others_made_it():
    before = csv.field_size_limit()
    suite_of(LINE, "weather", 0)
    assert csv.field_size_limit() == before


def test_files_of_llama_cpp_are_read_as_its_tool_does():
    if not ASSETS.exists():
        pytest.skip("needs ../shared")
    suite = read_suite(ASSETS / "hellaswag/hellaswag_val_400.txt", "hellaswag", 10)
    assert suite.kind == "hellaswag" and len(suite.items) == 10
    assert read_suite(ASSETS / "winogrande/winogrande-eval.csv", "winogrande").kind == "winogrande"
