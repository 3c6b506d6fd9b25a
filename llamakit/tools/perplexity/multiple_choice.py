"""Multiple choice (ARC, MMLU, TruthfulQA, ...) in llama.cpp's binary files.

Little-endian: uint32 n; uint32 position[n] of the tasks in the file. A task is a question and two lists of answers, the
first with one right answer (which is used), the second with several. A text is uint32 length and its bytes; a list of
answers is uint32 n, n texts, n int32 that are 1 for the right ones.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from llamakit.core.vocab.base import Vocab
from llamakit.errors import UsageError
from llamakit.tools.perplexity.choices import Endings, n_common
from llamakit.tools.perplexity.draws import draw

MOST_ANSWERS = 100


@dataclass(frozen=True, slots=True)
class Question:
    question: str
    answers: tuple[str, ...]
    right: frozenset[int]


@dataclass(slots=True)
class Cursor:
    """A place in the bytes; reading moves it. Raises UsageError at their end."""

    data: bytes
    position: int = 0

    def number(self) -> int:
        return int(struct.unpack("<i", self.take(4))[0])

    def text(self) -> str:
        return self.take(self.number()).decode("utf-8", errors="surrogateescape")

    def take(self, n: int) -> bytes:
        end = self.position + n
        if n < 0 or end > len(self.data):
            raise UsageError(f"byte {self.position}: {n} bytes are needed, and the file ends after {len(self.data)}")
        found, self.position = self.data[self.position : end], end
        return found


def parse(data: bytes) -> list[Question]:
    """All tasks of a file. Raises UsageError for a file that is none, naming the byte."""
    cursor = Cursor(data)
    n = cursor.number() if data else 0
    if n < 1 or 4 + 4 * n > len(data):
        raise UsageError("no multiple-choice tasks: the file does not begin with their number and positions")
    positions = struct.unpack_from(f"<{n}I", data, 4)
    return [read_question(Cursor(data, position)) for position in positions]


def read_question(cursor: Cursor) -> Question:
    start, question = cursor.position, cursor.text()
    n = cursor.number()
    if not question or not 1 <= n <= MOST_ANSWERS:
        raise UsageError(f"byte {start}: a task without a question, or with {n} answers; 1 to {MOST_ANSWERS} are read")
    answers = tuple(cursor.text() for _ in range(n))
    if not all(answers):
        raise UsageError(f"byte {start}: an answer is empty")
    labels = [cursor.number() for _ in range(n)]
    return Question(question, answers, frozenset(i for i, label in enumerate(labels) if label == 1))


def select(questions: list[Question], n_tasks: int = 0) -> list[Question]:
    """The tasks that llama-perplexity takes, in its order; 0 means all."""
    n = len(questions)
    return [questions[i] for i in draw(n, n_tasks)] if 0 < n_tasks < n else questions


def encode(question: Question, vocab: Vocab) -> Endings:
    sequences = [vocab.encode(f"{question.question} {answer}") for answer in question.answers]
    return Endings(sequences, n_common(sequences), question.right)
