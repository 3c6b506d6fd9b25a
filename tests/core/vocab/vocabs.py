"""Vocabularies as metadata: small ones to say in a test, and the golden files beside the repository."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from llamakit.core.gguf.types import ValueType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.core.vocab import Vocab
from llamakit.core.vocab.letters import LETTERS
from llamakit.core.vocab.pretokenizers import _RULES

SHARED = Path(__file__).parents[4] / "shared"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="needs the shared golden files beside the repository")

RULE_NAMES = frozenset(_RULES)
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6


def bpe_metadata(
    merges: Sequence[str] = (),
    specials: Sequence[str] = ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    drop: str = "",
    **keys: Any,
) -> dict[str, Any]:
    """A gpt2 vocabulary: control tokens, the 256 byte letters but those in `drop`, what the merges make."""
    made = list(dict.fromkeys(merge.replace(" ", "") for merge in merges))
    letters = [letter for letter in LETTERS if letter not in drop]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": [*specials, *letters, *made],
        "tokenizer.ggml.token_type": [CONTROL] * len(specials) + [NORMAL] * (len(letters) + len(made)),
        "tokenizer.ggml.merges": list(merges),
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 0,
        "tokenizer.ggml.add_bos_token": False,
    } | {f"tokenizer.ggml.{key}": value for key, value in keys.items()}


def spm_metadata(pieces: Sequence[tuple[str, float]] = (), with_bytes: bool = True, **keys: Any) -> dict[str, Any]:
    """A llama vocabulary: <unk> <s> </s> and the space, 256 bytes (from id 4 on), then pieces with scores."""
    texts = ["<unk>", "<s>", "</s>", "▁", *([f"<0x{byte:02X}>" for byte in range(256)] if with_bytes else [])]
    types = [UNKNOWN, CONTROL, CONTROL, NORMAL] + [BYTE] * (len(texts) - 4) + [NORMAL] * len(pieces)
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [*texts, *(text for text, _ in pieces)],
        "tokenizer.ggml.scores": [0.0] * len(texts) + [score for _, score in pieces],
        "tokenizer.ggml.token_type": types,
    } | {f"tokenizer.ggml.{key}": value for key, value in keys.items()}


def texts_of(vocab: Vocab, ids: Sequence[int]) -> list[str]:
    return [vocab.texts[token] for token in ids]


@contextmanager
def engine(name: str) -> Iterator[None]:
    """Encode with our own merge loop ("own") or with the library ("library"), whatever the length of the text."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("bpe", "spm", "ugm"):
            patch.setattr(f"llamakit.core.vocab.{module}.LIBRARY_AFTER", 1 << 60 if name == "own" else -1)
        yield


def write_vocab(path: Path, metadata: dict[str, Any]) -> Path:
    """A GGUF file of these keys and no tensors."""
    with GGUFWriter(path) as writer:
        writer.add("general.architecture", "llama")
        for key, value in metadata.items():
            writer.add(key, value, element_type=ValueType.STRING if value == [] else None)
    return path


def kind_metadata(kind: str, texts: Sequence[str], types: Sequence[int] = (), **keys: Any) -> dict[str, Any]:
    """A vocabulary of any kind; types are normal where they are not given."""
    return {
        "tokenizer.ggml.model": kind,
        "tokenizer.ggml.tokens": list(texts),
        "tokenizer.ggml.token_type": [*types, *[NORMAL] * (len(texts) - len(types))],
    } | {f"tokenizer.ggml.{key}": value for key, value in keys.items()}
