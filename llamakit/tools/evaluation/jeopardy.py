"""Jeopardy, as llama.cpp's example of 2023 had it: clues to answer, and whether the answers are right."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from llamakit.errors import UsageError

INTRODUCTION = (
    "You will be playing a game of Jeopardy. Simply answer the question in the correct format "
    "(Ex. What is Paris, or Who is George Washington)."
)
WRAPPING = re.compile(r"^(what|who|where|when)('s| is| are| was| were) |^(the|a|an) ")


@dataclass(frozen=True, slots=True)
class Clue:
    """What is said; the right answer where the file has it."""

    text: str
    right: str = ""
    category: str = ""


def read_clues(path: str | Path) -> list[Clue]:
    """A clue a line, or a CSV with a head: columns of the category, the right answer, and the clue last.

    Raises UsageError for a file that is none.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None
    if Path(path).suffix.lower() != ".csv":
        clues = [Clue(line.strip()) for line in text.splitlines() if line.strip()]
    else:
        rows = [row for row in csv.reader(io.StringIO(text)) if row]
        if any(len(row) < 3 for row in rows):
            raise UsageError(f"{path}: needs three columns at least: category, right answer, clue")
        clues = [Clue(row[-1].strip(), row[-2].strip(), row[-3].strip()) for row in rows[1:]]
    if not clues:
        raise UsageError(f"{path}: there are no clues in it")
    return clues


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
