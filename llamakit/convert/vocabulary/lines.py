"""PLaMo's tokenizer.jsonl: a line for each token, a list of its text, score, and kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from llamakit.core.vocab.tokens import TokenType
from llamakit.errors import VocabError, printable

LINES = "tokenizer.jsonl"
_TYPES = {"UNKNOWN": TokenType.UNKNOWN, "CONTROL": TokenType.CONTROL, "BYTE": TokenType.BYTE}


def read_lines(path: Path) -> Iterator[tuple[str, float, TokenType]]:
    """Text, score and type of each token. Raises VocabError for a line that is something else."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            text, score, *rest = json.loads(line)
            kind = rest[0] if rest else "NORMAL"
            if not isinstance(text, str) or not isinstance(score, (int, float)):
                raise ValueError("not a text and a score")
        except (ValueError, TypeError, RecursionError) as error:
            raise VocabError(printable(f"{path}, line {number}: no token: {str(error)[:80]}")) from None
        is_control = text.startswith("<|plamo:") and text.endswith("|>")
        yield text, float(score), _TYPES.get(kind, TokenType.CONTROL if is_control else TokenType.NORMAL)
