"""The tokens of a text, by the vocabulary of a model's file alone: no weights are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.vocab.base import Vocab, load_vocab
from llamakit.core.vocab.tokens import TokenType


@dataclass(frozen=True, slots=True)
class Token:
    """A token and the bytes it stands for, possibly a part of a character; of control tokens, their name."""

    id: int
    piece: bytes
    is_control: bool


def open_vocab(path: str | Path) -> Vocab:
    """The vocabulary of a GGUF file. Raises GGUFError and VocabError."""
    with GGUFReader(path) as reader:
        return load_vocab(reader.metadata)


def tokenize(vocab: Vocab, text: str | bytes, *, add_special: bool = True, parse_special: bool = True) -> list[Token]:
    """The tokens of a text, in order. As llama-tokenize does it, BOS and EOS are added where the model wants a BOS."""
    ids = vocab.encode(text, add_special=add_special and vocab.add_bos, parse_special=parse_special)
    hidden = (TokenType.CONTROL, TokenType.UNKNOWN)
    known = {i: Token(i, vocab.piece(i, special=True), vocab.types[i] in hidden) for i in set(ids)}
    return [known[i] for i in ids]


def as_json(tokens: Sequence[Token], vocab: Vocab) -> dict[str, Any]:
    """What the tokens are, for scripts. A piece that is not UTF-8 by itself is an array of its bytes."""
    return {
        "vocab": {"kind": vocab.kind, "n_tokens": vocab.n_tokens},
        "n_tokens": len(tokens),
        "tokens": [{"id": token.id, "piece": _text(token.piece), "control": token.is_control} for token in tokens],
    }


def _text(piece: bytes) -> str | list[int]:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return list(piece)
