"""The front matter of a model card: the part of YAML that cards use.

Keys with a value, lists of values (one a line, or in brackets), and quotes. Objects inside are passed over.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeAlias

Card: TypeAlias = "dict[str, str | list[str]]"

_KEY = re.compile(r"([A-Za-z_][\w-]*):(?:\s+(.*?))?\s*")
_ITEM = re.compile(r"\s*-\s+(.*?)\s*")
_COMMENT = re.compile(r"\s+#.*$")
_BLOCKS = ("|", ">", "|-", ">-")


def read_card(folder: Path) -> Card:
    """The front matter of README.md; empty where there is none."""
    path = folder / "README.md"
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    if not lines or lines[0].strip() != "---":
        return {}
    end = next((i for i, line in enumerate(lines[1:], start=1) if line.strip() == "---"), len(lines))
    return parse_front_matter(lines[1:end])


def parse_front_matter(lines: list[str]) -> Card:
    """Keys of the outermost level; a list of objects, or an object, is left out."""
    card: Card = {}
    i = 0
    while i < len(lines):
        match = _KEY.fullmatch(lines[i].replace("\t", "  "))
        i += 1
        if match is None:
            continue
        inner = []
        while i < len(lines) and (not lines[i].strip() or lines[i][0] in " \t-"):
            inner.append(lines[i])
            i += 1
        value = _value(_COMMENT.sub("", match[2] or ""), inner)
        if value is not None:
            card[match[1]] = value
    return card


def _value(text: str, inner: list[str]) -> str | list[str] | None:
    if text in _BLOCKS:
        return "\n".join(line.strip() for line in inner).strip()
    if text.startswith("[") and text.endswith("]"):
        return [_unquoted(part) for part in text[1:-1].split(",") if part.strip()]
    if text:
        return None if text.startswith("{") else _unquoted(text)
    items = [_ITEM.fullmatch(line) for line in inner if line.strip()]
    texts = [_unquoted(_COMMENT.sub("", item[1])) for item in items if item is not None]
    has_objects = len(texts) < len(items) or any(re.match(r"\w+:(\s|$)", text) for text in texts)
    return None if has_objects or not texts else texts


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
