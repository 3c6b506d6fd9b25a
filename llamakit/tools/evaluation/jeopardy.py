"""Jeopardy, as llama.cpp's example of 2023 had it: clues to answer, and whether the answers are right."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from llamakit.errors import UsageError
from llamakit.tools.evaluation.sheets import read_rows

INTRODUCTION = (
    "You will be playing a game of Jeopardy. Simply answer the question in the correct format "
    "(Ex. What is Paris, or Who is George Washington)."
)
N_COLUMNS = 3
HEAD_WORDS = frozenset(
    ("answer", "category", "clue", "correct", "hint", "model", "original", "prompt", "question", "response", "right")
)  # of which the names of the columns are
WRAPPING = re.compile(r"^(what|who|where|when)('s| is| are| was| were) |^(the|a|an) ")


@dataclass(frozen=True, slots=True)
class Clue:
    """What is said; the right answer where the file has it."""

    text: str
    right: str = ""
    category: str = ""


def read_clues(path: str | Path) -> list[Clue]:
    """A clue a line, or a CSV, with a head or not: columns of the category, the right answer, and the clue last.

    Raises UsageError for a file that is none.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        if Path(path).suffix.lower() == ".csv":
            clues = clues_of(text)
        else:
            clues = [Clue(line.strip()) for line in text.split("\n") if line.strip()]
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, UsageError) as error:
        raise UsageError(f"{path}: {error}") from None
    if not clues:
        raise UsageError(f"{path}: there are no clues in it")
    return clues


def clues_of(text: str) -> list[Clue]:
    rows = list(read_rows(text))
    for line, row in rows:
        if len(row) < N_COLUMNS:
            raise UsageError(f"line {line}: needs three columns at least: category, right answer, clue")
    has_head = bool(rows) and all(HEAD_WORDS.issuperset(plain(name).split()) for name in rows[0][1][-N_COLUMNS:])
    return [Clue(row[-1].strip(), row[-2].strip(), row[-3].strip()) for _, row in rows[has_head:]]


def prompt_of(clue: Clue, prefix: str) -> str:
    """As the example's script put it."""
    return f"{prefix}{INTRODUCTION}\n{prefix}{clue.text}"


def is_right(answer: str, right: str) -> bool:
    """Whether an answer says the right thing: case, accents, articles and the question's form do not count."""
    said, wanted = plain(answer), plain(right)
    return bool(wanted) and f" {wanted} " in f" {said} "


def plain(text: str) -> str:
    """Words in lower case, without marks and without what every answer begins with."""
    text = unicodedata.normalize("NFKD", text.lower())
    text = "".join(c for c in text if not unicodedata.combining(c))
    text = " ".join(re.sub(r"[^\w\s']", " ", text).split())
    while (shorter := WRAPPING.sub("", text)) != text:
        text = shorter
    return text
