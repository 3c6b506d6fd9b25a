"""The formats that tasks come in, told by what is in the file.

HellaSwag       llama.cpp's text (six lines a task); JSON lines with ctx, endings, label
Winogrande      llama.cpp's CSV; JSON lines with sentence, option1, option2, answer
ARC, OpenBookQA JSON lines with question (a text, or stem and choices), choices, answerKey
MMLU            CSV of question, four choices, letter
PIQA            JSON lines with goal, sol1, sol2, label
BoolQ           JSON lines with question, passage, answer
multiple choice llama.cpp's binary files; JSON lines with question, choices, answer (a number or letter)
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamakit.core.vocab.base import Vocab
from llamakit.errors import UsageError
from llamakit.tools.evaluation.question import LETTERS, Question, encode, lettered
from llamakit.tools.perplexity import hellaswag, multiple_choice, winogrande
from llamakit.tools.perplexity.choices import Task

MOST_BYTES = 1 << 30
MMLU_FIELDS = 6


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
    if data[:1].strip() == b"{":
        records = list(of_json_lines(data.decode("utf-8", "replace")))
        return suite_of_questions(name, records[0][0], [question for _, question in records], n_tasks)
    if b"\0" in data[:64]:
        found = multiple_choice.select(multiple_choice.parse(data), n_tasks)
        return Suite(name, "multiple choice", found, multiple_choice.encode, [""] * len(found))
    text = data.decode("utf-8", "replace")
    fields = next(csv.reader([text.split("\n", 1)[0]]), [])
    if len(fields) == winogrande.N_FIELDS and winogrande.GAP in fields[1]:
        sentences = winogrande.select(winogrande.parse(text), n_tasks)
        return Suite(name, "winogrande", sentences, winogrande.encode, [""] * len(sentences))
    if len(fields) == MMLU_FIELDS:
        return suite_of_questions(name, "mmlu", list(of_mmlu(text, Path(name).stem)), n_tasks)
    stories = hellaswag.parse(text)
    stories = hellaswag.select(stories, n_tasks or len(stories))
    return Suite(name, "hellaswag", stories, hellaswag.encode, [""] * len(stories))


def suite_of_questions(name: str, kind: str, questions: list[Question], n_tasks: int) -> Suite:
    questions = questions[:n_tasks] if n_tasks > 0 else questions
    return Suite(name, kind, questions, encode, [question.group for question in questions])


def of_mmlu(text: str, subject: str) -> Iterator[Question]:
    """CSV with or without a head."""
    for n, fields in enumerate(csv.reader(io.StringIO(text)), 1):
        if n == 1 and fields and fields[-1].strip().upper() not in LETTERS[:4]:
            continue
        if len(fields) != MMLU_FIELDS:
            raise UsageError(f"line {n}: {len(fields)} fields; a question, four choices and a letter are six")
        stem, *choices, letter = fields
        yield Question(lettered(stem, choices), tuple(f" {c}" for c in LETTERS[:4]), index_of(letter, 4, n), subject)


def of_json_lines(text: str) -> Iterator[tuple[str, Question]]:
    """Each with the name of its format."""
    for n, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise UsageError(f"line {n}: is not JSON: {error}") from None
        fields = record.keys() if isinstance(record, dict) else set()
        reader = next((read for needed, read in READERS.items() if needed <= fields), None)
        if reader is None:
            raise UsageError(f"line {n}: has none of the known sets of fields: {known_fields()}")
        try:
            yield reader(record, n)
        except (KeyError, TypeError, AttributeError, IndexError):
            raise UsageError(f"line {n}: a field is not what it is in this format") from None


Record = Mapping[str, Any]


def hellaswag_record(record: Record, n: int) -> tuple[str, Question]:
    label = record.get("activity_label")
    prompt = (f"{label}: " if label else "") + record["ctx"]
    endings = tuple(f" {ending.strip()}" for ending in record["endings"])
    return "hellaswag", Question(prompt, endings, index_of(record["label"], len(endings), n, is_number=True))


def winogrande_record(record: Record, n: int) -> tuple[str, Question]:
    """What follows the gap is the same for both words: the sentence's end is what counts."""
    before, gap, behind = record["sentence"].partition("_")
    if not gap:
        raise UsageError(f"line {n}: the sentence has no _ for the word")
    answers = tuple(record[f"option{i}"] + behind for i in (1, 2))
    return "winogrande", Question(before, answers, index_of(record["answer"], 2, n, starts_at=1, is_number=True))


def piqa_record(record: Record, n: int) -> tuple[str, Question]:
    answers = (f" {record['sol1']}", f" {record['sol2']}")
    prompt = f"Question: {record['goal']}\nAnswer:"
    return "piqa", Question(prompt, answers, index_of(record["label"], 2, n, is_number=True))


def boolq_record(record: Record, n: int) -> tuple[str, Question]:
    prompt = f"{record['passage']}\nQuestion: {record['question']}?\nAnswer:"
    return "boolq", Question(prompt, (" no", " yes"), int(bool(record["answer"])))


def arc_record(record: Record, n: int) -> tuple[str, Question]:
    asked = record["question"]
    stem, choices = (asked["stem"], asked["choices"]) if isinstance(asked, dict) else (asked, record["choices"])
    if isinstance(choices, dict):
        texts, labels = choices["text"], choices["label"]
    else:
        texts, labels = [choice["text"] for choice in choices], [choice["label"] for choice in choices]
    if str(record["answerKey"]) not in map(str, labels):
        raise UsageError(f"line {n}: the answer {record['answerKey']!r} is none of {labels}")
    right = [str(label) for label in labels].index(str(record["answerKey"]))
    return "arc", Question(f"Question: {stem}\nAnswer:", tuple(f" {text}" for text in texts), right)


def choices_record(record: Record, n: int) -> tuple[str, Question]:
    choices = record["choices"]
    right = index_of(record["answer"], len(choices), n)
    group = str(record.get("subject", record.get("category", "")))
    if "subject" in record:  # MMLU's
        return "mmlu", Question(
            lettered(record["question"], choices), tuple(f" {c}" for c in LETTERS[: len(choices)]), right, group
        )
    prompt = f"Question: {record['question']}\nAnswer:"
    return "choices", Question(prompt, tuple(f" {choice}" for choice in choices), right, group)


READERS: dict[frozenset[str], Callable[[Record, int], tuple[str, Question]]] = {
    frozenset({"ctx", "endings", "label"}): hellaswag_record,
    frozenset({"sentence", "option1", "option2", "answer"}): winogrande_record,
    frozenset({"goal", "sol1", "sol2", "label"}): piqa_record,
    frozenset({"passage", "question", "answer"}): boolq_record,
    frozenset({"question", "answerKey"}): arc_record,
    frozenset({"question", "choices", "answer"}): choices_record,
}


def known_fields() -> str:
    return "; ".join(", ".join(sorted(fields)) for fields in READERS)


def index_of(answer: Any, n: int, line: int, *, starts_at: int = 0, is_number: bool = False) -> int:
    """The place of the right answer, of a number or a letter. Raises UsageError for one that is none."""
    text = str(answer).strip()
    place = int(text) - starts_at if text.isdecimal() else -1
    if place < 0 and not is_number and len(text) == 1:
        place = LETTERS.find(text.upper())
    if not 0 <= place < n:
        raise UsageError(f"line {line}: the answer {answer!r} is none of the {n}")
    return place
