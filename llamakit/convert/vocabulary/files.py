"""The files that a tokenizer is told in, each read once, and only if it is there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from llamakit.convert.checkpoint import read_json
from llamakit.convert.vocabulary.sentencepiece_model import SentencePieceModel, read_model
from llamakit.errors import VocabError

SHIFTED_NAME = "sentencepiece.bpe.model"  # XLM-RoBERTa's
SENTENCEPIECE_NAMES = ("tokenizer.model", "spiece.model", SHIFTED_NAME)
_MISTRAL_NAMES = re.compile(r".*\.model\.(v\d+)(?:m\d+)?")  # "tokenizer.model.v7": SentencePiece, by version
_MISTRAL_SETTINGS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
_MISTRAL_FRAME = {"add_bos_token": True, "add_eos_token": False}


@dataclass(frozen=True)
class AddedToken:
    """A token that is found in a text before it is cut."""

    id: int
    text: str
    is_special: bool
    is_normalized: bool


@dataclass(frozen=True)
class TokenizerFiles:
    """Raises VocabError for a file whose parts are not what they must be, ModelError for one that is no JSON.

    `is_mistral`: Mistral's own files go before those of transformers; `has_named_template`: a chat template that such a
    folder does not hold may be the one known by a name.
    """

    folder: Path
    is_mistral: bool = False
    has_named_template: bool = True

    @cached_property
    def tokenizer(self) -> dict[str, Any]:
        """tokenizer.json, or what it would be for tekken.json; empty where there is none."""
        if self.tekken_path:
            from llamakit.convert.vocabulary.tekken import read_tekken

            return read_tekken(self.tekken_path)
        return {} if self.is_mistral else self._json("tokenizer.json")

    @cached_property
    def tekken_path(self) -> Path | None:
        """Mistral's tekken.json, where it is asked for or the only tokenizer."""
        path, others = self.folder / "tekken.json", ("tokenizer.json", *SENTENCEPIECE_NAMES)
        is_wanted = self.is_mistral or not any((self.folder / name).is_file() for name in others)
        return path if is_wanted and path.is_file() else None

    @cached_property
    def settings(self) -> dict[str, Any]:
        """tokenizer_config.json, or what it would be for Mistral's own files; empty where there is none."""
        given = {} if self.is_mistral else self._json("tokenizer_config.json")
        if not self.is_mistral and not self.tekken_path:
            return given
        padding = "<pad>" if self.tekken_path else "</s>"
        return {**_MISTRAL_SETTINGS, "pad_token": padding, **given, **_MISTRAL_FRAME}

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

    def steps(self, name: str, inner: str) -> list[dict[str, Any]]:
        """The steps of a part that is one of them or a sequence, whose list is called `inner`."""
        part = self.part(name)
        steps = part.get(inner, [part])
        if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
            raise self.error(f"{name}.{inner} is no list of objects")
        return steps

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

    @property
    def is_shifted(self) -> bool:
        """Whether the SentencePiece model numbers its tokens in another way than the model does."""
        return self.sentencepiece_path is not None and self.sentencepiece_path.name == SHIFTED_NAME

    @cached_property
    def sentencepiece(self) -> SentencePieceModel | None:
        """The SentencePiece model, or None."""
        return read_model(self.sentencepiece_path) if self.sentencepiece_path else None

    @cached_property
    def sentencepiece_path(self) -> Path | None:
        if self.tekken_path:
            return None
        if self.is_mistral:
            versions = [path for path in self.folder.iterdir() if _MISTRAL_NAMES.fullmatch(path.name)]
            if versions:
                return max(versions, key=lambda path: int(mistral_version(path)[1:]))
        paths = (self.folder / name for name in SENTENCEPIECE_NAMES)
        return next((path for path in paths if path.is_file()), None)

    def error(self, message: str) -> VocabError:
        return VocabError(f"{self.folder / 'tokenizer.json'}: {message}")

    def _json(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        return read_json(path) if path.is_file() else {}


def mistral_version(path: Path) -> str:
    """The version in the name of a SentencePiece model of Mistral's: "v3" of tokenizer.model.v3, "v1" of the first."""
    match = _MISTRAL_NAMES.fullmatch(path.name)
    return match[1] if match else "v1"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""
