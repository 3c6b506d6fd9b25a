"""Tables of text: CSV, and MMLU's questions in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llamakit.errors import UsageError
from llamakit.tools.evaluation.question import LETTERS, Question, index_of, lettered

LEAST_FIELDS = 4  # a question, two choices, a letter
INDEX_NAMES = frozenset({"", "id", "idx", "index", "question_id", "unnamed: 0"})
ANSWER_NAMES = frozenset({"answer", "answer_key", "correct", "label", "target"})
GROUP_NAMES = frozenset({"subject", "category"})
Row = tuple[int, list[str]]  # with the number of the line that it ends on


def read_rows(text: str) -> Iterator[Row]:
    """The rows that are not empty; a row may go over lines, which may end in CR, LF or both. Raises UsageError."""
    reader = csv.reader(io.StringIO(text, newline=""))
    limit = csv.field_size_limit(len(text) + 1)
    try:
        for row in reader:
            if any(field.strip() for field in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise UsageError(f"line {reader.line_num}: is not CSV: {error}") from None
    finally:
        csv.field_size_limit(limit)


@dataclass(frozen=True)
class Columns:
    """Where in a row what stands; all else are choices."""

    question: int
    answer: int
    group: int | None = None

    def question_of(self, row: Sequence[str], subject: str) -> Question:
        """Raises UsageError for an answer that is none. Choices that are left out at the end are none."""
        choices = [row[i] for i in range(self.question + 1, len(row)) if i not in (self.answer, self.group)]
        while len(choices) > 2 and not choices[-1].strip():
            choices.pop()
        group = subject if self.group is None else row[self.group]
        letters = tuple(f" {letter}" for letter in LETTERS[: len(choices)])
        stem = row[self.question]
        return Question(lettered(stem, choices), letters, index_of(row[self.answer], len(choices)), group)


def of_head(names: Sequence[str]) -> Columns:
    """By what columns are called; usually a question, its choices, the answer."""
    plain = [name.strip().lower() for name in names]

    def place(known: frozenset[str]) -> int | None:
        return next((i for i, name in enumerate(plain) if name in known), None)

    answer = place(ANSWER_NAMES)
    return Columns(
        question=int(plain[0] in INDEX_NAMES), answer=len(plain) - 1 if answer is None else answer,
        group=place(GROUP_NAMES),
    )  # fmt: skip


def of_mmlu(rows: Sequence[Row], subject: str) -> Iterator[Question]:
    """A question, its choices and the right one's letter, with or without a head and a column of numbers before them.

    Raises UsageError, naming the line, for a row of another length or without a right answer.
    """
    _, first = rows[0]
    if has_head := len(first[-1].strip()) > 1 and not first[-1].strip().isdecimal():
        columns = of_head(first)
    else:
        columns = Columns(question=int(is_numbered(rows)), answer=len(first) - 1)
    for line, row in rows[has_head:]:
        if len(row) != len(first):
            raise UsageError(f"line {line}: {len(row)} fields; the first row has {len(first)}")
        try:
            yield columns.question_of(row, subject)
        except UsageError as error:
            raise UsageError(f"line {line}: {error}") from None


def is_numbered(rows: Sequence[Row]) -> bool:
    """Does each row begin with the number behind that of the one before?"""
    begins = [row[0].strip() for _, row in rows]
    return len(rows[0][1]) > LEAST_FIELDS and any(
        begins == [str(i) for i in range(start, start + len(rows))] for start in (0, 1)
    )
