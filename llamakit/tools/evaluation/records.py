"""Questions as JSON: one to a line, or a list of them. The names of a record's fields tell its format."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from llamakit.errors import UsageError
from llamakit.tools.evaluation.question import LETTERS, Question, index_of, lettered

Record = Mapping[str, Any]


def of_json(text: str) -> Iterator[tuple[str, Question]]:
    """Each with the name of its format. Raises UsageError, saying where, for a record of none."""
    for where, record in records_of(text):
        fields = record.keys() if isinstance(record, dict) else set()
        reader = next((read for needed, read in READERS.items() if needed <= fields), None)
        if reader is None:
            raise UsageError(f"{where}: has none of the known sets of fields: {known_fields()}")
        try:
            yield reader(record)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None
        except (KeyError, TypeError, AttributeError, IndexError):
            raise UsageError(f"{where}: a field is not what it is in this format") from None


def records_of(text: str) -> Iterator[tuple[str, Any]]:
    """Each with where it stands. Lines end in LF: a JSON text may hold what else ends lines."""
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except ValueError as error:
            raise UsageError(f"is not JSON: {error}") from None
        yield from ((f"record {n}", record) for n, record in enumerate(found, 1))
        return
    for n, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                record = json.loads(line)
            except ValueError as error:
                raise UsageError(f"line {n}: is not JSON: {error}") from None
            yield f"line {n}", record


def hellaswag_record(record: Record) -> tuple[str, Question]:
    label = record.get("activity_label")
    prompt = (f"{label}: " if label else "") + record["ctx"]
    endings = tuple(f" {ending.strip()}" for ending in record["endings"])
    return "hellaswag", Question(prompt, endings, index_of(record["label"], len(endings), is_number=True))


def winogrande_record(record: Record) -> tuple[str, Question]:
    """What follows the gap is the same for both words: the sentence's end is what counts."""
    before, gap, behind = record["sentence"].partition("_")
    if not gap:
        raise UsageError("the sentence has no _ for the word")
    answers = tuple(record[f"option{i}"] + behind for i in (1, 2))
    return "winogrande", Question(before, answers, index_of(record["answer"], 2, starts_at=1, is_number=True))


def piqa_record(record: Record) -> tuple[str, Question]:
    answers = (f" {record['sol1']}", f" {record['sol2']}")
    prompt = f"Question: {record['goal']}\nAnswer:"
    return "piqa", Question(prompt, answers, index_of(record["label"], 2, is_number=True))


def boolq_record(record: Record) -> tuple[str, Question]:
    prompt = f"{record['passage']}\nQuestion: {record['question']}?\nAnswer:"
    return "boolq", Question(prompt, (" no", " yes"), int(bool(record["answer"])))


def arc_record(record: Record) -> tuple[str, Question]:
    asked = record["question"]
    stem, choices = (asked["stem"], asked["choices"]) if isinstance(asked, dict) else (asked, record["choices"])
    if isinstance(choices, dict):
        texts, labels = choices["text"], choices["label"]
    else:
        texts, labels = [choice["text"] for choice in choices], [choice["label"] for choice in choices]
    if str(record["answerKey"]) not in map(str, labels):
        raise UsageError(f"the answer {record['answerKey']!r} is none of {labels}")
    right = [str(label) for label in labels].index(str(record["answerKey"]))
    return "arc", Question(f"Question: {stem}\nAnswer:", tuple(f" {text}" for text in texts), right)


def choices_record(record: Record) -> tuple[str, Question]:
    choices = record["choices"]
    if "subject" in record:
        return mmlu_record(record)
    prompt = f"Question: {record['question']}\nAnswer:"
    right, group = index_of(record["answer"], len(choices)), str(record.get("category", ""))
    return "choices", Question(prompt, tuple(f" {choice}" for choice in choices), right, group)


def mmlu_record(record: Record) -> tuple[str, Question]:
    """MMLU's, or MMLU-Pro's, whose choices are options."""
    choices = record["options"] if "options" in record else record["choices"]
    right, group = index_of(record["answer"], len(choices)), record.get("subject", record.get("category", ""))
    letters = tuple(f" {letter}" for letter in LETTERS[: len(choices)])
    return "mmlu", Question(lettered(record["question"], choices), letters, right, str(group))


READERS: dict[frozenset[str], Callable[[Record], tuple[str, Question]]] = {
    frozenset({"ctx", "endings", "label"}): hellaswag_record,
    frozenset({"sentence", "option1", "option2", "answer"}): winogrande_record,
    frozenset({"goal", "sol1", "sol2", "label"}): piqa_record,
    frozenset({"passage", "question", "answer"}): boolq_record,
    frozenset({"question", "answerKey"}): arc_record,
    frozenset({"question", "choices", "answer"}): choices_record,
    frozenset({"question", "options", "answer"}): mmlu_record,
}


def known_fields() -> str:
    return "; ".join(", ".join(sorted(fields)) for fields in READERS)
