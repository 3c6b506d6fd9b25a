"""The token table of a GGUF file: texts, types and scores, checked once."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from llamakit.core.vocab.text import is_utf8
from llamakit.errors import VocabError

log = logging.getLogger(__name__)

MAX_TOKEN_CHARS = 1 << 16  # real vocabularies stay below a few hundred
MERGES_KEY = "tokenizer.ggml.merges"
MAX_MERGES = 1 << 22  # real ones have up to half a million


class TokenType(IntEnum):
    """`tokenizer.ggml.token_type`, numbered as in the file."""

    UNDEFINED = 0
    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, slots=True)
class TokenTable:
    """Every token by id: texts, types (a byte each) and scores, all of length n_vocab.

    `ids` finds the id of a text; of equal texts the last one counts.
    """

    texts: list[str]
    types: bytearray
    scores: list[float]
    ids: dict[str, int]
    is_utf8: bool


def read_tokens(metadata: Mapping[str, Any]) -> TokenTable:
    """The token table of a file's metadata. Raises VocabError where arrays are absent, malformed or disagree."""
    texts = _strings(metadata, "tokenizer.ggml.tokens")
    if not texts:
        raise VocabError("tokenizer.ggml.tokens is absent or empty: this file has no vocabulary")
    if max(map(len, texts)) > MAX_TOKEN_CHARS:
        longest = max(range(len(texts)), key=lambda i: len(texts[i]))
        raise VocabError(
            f"token {longest} has a text of {len(texts[longest])} characters, more than {MAX_TOKEN_CHARS}: "
            "the vocabulary looks damaged"
        )
    if "" in texts:
        texts = [text or f"[EMPTY_{i}]" for i, text in enumerate(texts)]
    clean = is_utf8("".join(texts))
    if not clean:
        log.warning("some token texts are not UTF-8; their bytes are kept as they are")
    n_vocab = len(texts)
    return TokenTable(
        texts=texts,
        types=_types(metadata, n_vocab),
        scores=_scores(metadata, n_vocab),
        ids=dict(zip(texts, range(n_vocab), strict=True)),
        is_utf8=clean,
    )


def read_merges(metadata: Mapping[str, Any]) -> list[str]:
    """BPE merges by rank, each "left right". Raises VocabError where they are absent or malformed."""
    key = MERGES_KEY
    if key not in metadata:
        raise VocabError(f"{key} is absent: a gpt2 vocabulary needs merges")
    merges = _strings(metadata, key)
    if len(merges) > MAX_MERGES:
        raise VocabError(f"{key} has {len(merges)} entries, more than {MAX_MERGES}: the vocabulary looks damaged")
    for rank, merge in enumerate(merges):
        if " " not in merge[1:-1]:
            raise VocabError(f"{key}[{rank}] is {merge[:40]!r}, not two parts with a space between them")
    return merges


def _strings(metadata: Mapping[str, Any], key: str) -> list[str]:
    value = _array(metadata, key)
    if set(map(type, value)) <= {str}:
        return value
    if set(map(type, value)) <= {str, bytes}:
        return [v.decode("utf-8", "surrogateescape") if isinstance(v, bytes) else v for v in value]
    raise VocabError(f"{key} must be an array of strings, not of {_type_names(value)}")


def ids_of_types(types: bytearray, *wanted: TokenType) -> list[int]:
    """Ids of all tokens of these types, ascending."""
    return [match.start() for match in re.finditer(b"[" + bytes(wanted) + b"]", types)]


def _types(metadata: Mapping[str, Any], n_vocab: int) -> bytearray:
    key = "tokenizer.ggml.token_type"
    if key not in metadata:
        return bytearray([TokenType.NORMAL]) * n_vocab
    types = _array(metadata, key)
    _check_length(key, types, n_vocab)
    if set(map(type, types)) != {int}:
        raise VocabError(f"{key} must be an array of integers, not of {_type_names(types)}")
    if not 0 <= min(types) <= max(types) <= max(TokenType):
        raise VocabError(f"{key} holds a value outside 0..{max(TokenType)}")
    return bytearray(types)


def _scores(metadata: Mapping[str, Any], n_vocab: int) -> list[float]:
    key = "tokenizer.ggml.scores"
    if key not in metadata:
        return [0.0] * n_vocab
    scores = _array(metadata, key)
    _check_length(key, scores, n_vocab)
    kinds = set(map(type, scores))
    if kinds == {float}:
        if math.isnan(sum(scores)):
            raise VocabError(f"{key} holds a value that is not a number")
        return scores
    # int32 scores exist; an array whose values all fit a byte is a known damage (uint8 where floats belong).
    if kinds == {int} and not 0 <= min(scores) <= max(scores) <= 255:
        return [float(score) for score in scores]
    raise VocabError(f"{key} must be an array of floats, not of {_type_names(scores)}")


def _array(metadata: Mapping[str, Any], key: str) -> list[Any]:
    value = metadata.get(key, [])
    if not isinstance(value, list):
        raise VocabError(f"{key} must be an array, not {type(value).__name__}")
    return value


def _check_length(key: str, value: list[Any], n_vocab: int) -> None:
    if len(value) != n_vocab:
        raise VocabError(f"{key} has {len(value)} entries for {n_vocab} tokens")


def _type_names(value: Iterable[object]) -> str:
    return ", ".join(sorted(kind.__name__ for kind in set(map(type, value))))
