"""RWKV's list of tokens: a line for each, with its number, the text or bytes as Python writes them, and the length."""

from __future__ import annotations

import ast
from pathlib import Path

from llamakit.core.vocab.tokens import TokenType
from llamakit.errors import VocabError, printable

WORLD = "rwkv_vocab_v20230424.txt"


def read_world(path: Path) -> tuple[list[str], list[int]]:
    """Texts, as GGUF spells bytes, and types of all tokens. Raises VocabError for a malformed line."""
    texts, types = ["<s>"], [int(TokenType.CONTROL)]
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            _, rest = line.split(" ", 1)
            literal, length = rest.rsplit(" ", 1)
            token = ast.literal_eval(literal)
            raw = token.encode() if isinstance(token, str) else token
            if not isinstance(raw, bytes) or len(raw) != int(length):
                raise ValueError("its length is another")
        except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
            raise VocabError(printable(f"{path}, line {number}: no token: {str(error)[:80]}")) from None
        texts.append(repr(raw)[2:-1])
        types.append(int(TokenType.NORMAL))
    return texts, types
