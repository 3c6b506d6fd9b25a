"""The formats that tasks come in, told by what is in the file.

HellaSwag       llama.cpp's text (six lines a task); JSON lines with ctx, endings, label
Winogrande      llama.cpp's CSV; JSON lines with sentence, option1, option2, answer
ARC, OpenBookQA JSON lines with question (a text, or stem and choices), choices, answerKey
MMLU            CSV of question, choices, letter; JSON lines with question, choices (or options), answer, subject
PIQA            JSON lines with goal, sol1, sol2, label
BoolQ           JSON lines with question, passage, answer
multiple choice llama.cpp's binary files; JSON lines with question, choices, answer (a number or letter)

A list of JSON records does as well as lines of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamakit.core.vocab.base import Vocab
from llamakit.errors import UsageError
from llamakit.tools.evaluation.question import Question, encode
from llamakit.tools.evaluation.records import of_json
from llamakit.tools.evaluation.sheets import LEAST_FIELDS, of_mmlu, read_rows
from llamakit.tools.perplexity import hellaswag, multiple_choice, winogrande
from llamakit.tools.perplexity.choices import Task

MOST_BYTES = 1 << 30
KNOWN = (
    "HellaSwag has six lines a task, Winogrande rows of an index, a sentence with _, two words and the answer, MMLU "
    "rows of a question, its choices and a letter; others are JSON"
)


@dataclass(frozen=True)
class Suite:
    """Tasks of one file: `encode` makes one of what a model is asked; `groups` has a word for each."""

    name: str
    kind: str
    items: Sequence[Any]
    encode: Callable[[Any, Vocab], Task]
    groups: Sequence[str]


def read_suite(path: Path, name: str, n_tasks: int = 0) -> Suite:
    """The tasks of a file, or the first n_tasks of them; of llama.cpp's files those that its tool takes.

    Raises UsageError for a file of no known format, naming the line.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"{path}: is larger than {MOST_BYTES >> 20} MiB; that is no list of tasks")
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    try:
        return suite_of(data, name, n_tasks)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def suite_of(data: bytes, name: str, n_tasks: int) -> Suite:
    if b"\0" in data[:64]:
        found = multiple_choice.select(multiple_choice.parse(data), n_tasks)
        return Suite(name, "multiple choice", found, multiple_choice.encode, [""] * len(found))
    text = data.decode("utf-8-sig", "replace")
    if not text.strip():
        raise UsageError("is empty: there are no tasks in it")
    second = text.split("\n", 2)[1:2]
    if second and second[0].strip().isdecimal():  # before what a story may look like
        stories = hellaswag.parse(text)
        stories = hellaswag.select(stories, n_tasks or len(stories))
        return Suite(name, "hellaswag", stories, hellaswag.encode, [""] * len(stories))
    if text.lstrip()[0] in "{[":
        records = list(of_json(text))
        kind = records[0][0] if records else ""
        return suite_of_questions(name, kind, [question for _, question in records], n_tasks)
    rows = list(read_rows(text))
    _, fields = rows[0]
    if len(fields) == winogrande.N_FIELDS and winogrande.GAP in fields[1]:
        sentences = winogrande.select(winogrande.parse(text), n_tasks)
        return Suite(name, "winogrande", sentences, winogrande.encode, [""] * len(sentences))
    if len(fields) >= LEAST_FIELDS:
        return suite_of_questions(name, "mmlu", list(of_mmlu(rows, Path(name).stem)), n_tasks)
    raise UsageError(f"line 1: is of no known format: {KNOWN}")


def suite_of_questions(name: str, kind: str, questions: list[Question], n_tasks: int) -> Suite:
    if not questions:
        raise UsageError("there are no tasks in it")
    questions = questions[:n_tasks] if n_tasks > 0 else questions
    return Suite(name, kind, questions, encode, [question.group for question in questions])
