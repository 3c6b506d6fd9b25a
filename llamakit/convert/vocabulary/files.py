"""The files that a tokenizer is told in, each read once, and only if it is there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from llamakit.convert.checkpoint import read_json
from llamakit.convert.vocabulary.sentencepiece_model import SentencePieceModel, read_model
from llamakit.errors import VocabError

SENTENCEPIECE_NAMES = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")


@dataclass(frozen=True)
class AddedToken:
    """A token that is found in a text before it is cut."""

    id: int
    text: str
    is_special: bool
    is_normalized: bool


@dataclass(frozen=True)
class TokenizerFiles:
    """Raises VocabError for a file whose parts are not what they must be, ModelError for one that is no JSON."""

    folder: Path

    @cached_property
    def tokenizer(self) -> dict[str, Any]:
        """tokenizer.json; empty where there is none."""
        return self._json("tokenizer.json")

    @cached_property
    def settings(self) -> dict[str, Any]:
        """tokenizer_config.json; empty where there is none."""
        return self._json("tokenizer_config.json")

    @cached_property
    def model(self) -> dict[str, Any]:
        """The model inside tokenizer.json."""
        return self.part("model")

    def part(self, name: str) -> dict[str, Any]:
        """An object inside tokenizer.json; empty where it is absent or null."""
        value = self.tokenizer.get(name)
        if value is not None and not isinstance(value, dict):
            raise self.error(f"{name} is a JSON {type(value).__name__}, not an object")
        return value or {}

    @cached_property
    def added(self) -> list[AddedToken]:
        """The added tokens of tokenizer.json."""
        found = []
        for entry in self.tokenizer.get("added_tokens") or []:
            if not isinstance(entry, dict) or type(entry.get("id")) is not int or not _is_text(entry.get("content")):
                raise self.error(f"the added token {entry!r:.80} has no id or no content")
            is_special, is_normalized = bool(entry.get("special")), bool(entry.get("normalized", True))
            found.append(AddedToken(entry["id"], entry["content"], is_special, is_normalized))
        return found

    @cached_property
    def sentencepiece(self) -> SentencePieceModel | None:
        """The SentencePiece model, or None."""
        return read_model(self.sentencepiece_path) if self.sentencepiece_path else None

    @cached_property
    def sentencepiece_path(self) -> Path | None:
        paths = (self.folder / name for name in SENTENCEPIECE_NAMES)
        return next((path for path in paths if path.is_file()), None)

    def error(self, message: str) -> VocabError:
        return VocabError(f"{self.folder / 'tokenizer.json'}: {message}")

    def _json(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        return read_json(path) if path.is_file() else {}


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""
