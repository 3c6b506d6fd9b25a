"""WordPiece (`tokenizer.ggml.model` = bert): words in lower case without accents, cut into the longest known parts.

Tokens that start a word begin with U+2581 in GGUF files, and those that go on do not (elsewhere these have "##").
"""

from __future__ import annotations

import unicodedata

from llamakit.core.vocab.text import BAD_BYTE, SPACE, as_bytes
from llamakit.core.vocab.tokens import TokenTable
from llamakit.core.vocab.trie import Trie

_IDEOGRAPHS = (
    *((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F)),
    *((0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)),
)
_LONGEST_REMEMBERED = 64  # characters; natural words are shorter


class WPM:
    """Token ids of text fragments, and the bytes of normal tokens."""

    def __init__(self, tokens: TokenTable, *, unk: int | None, lowercase: bool, strip_accents: bool) -> None:
        self._tokens, self._unk = tokens, unk
        self._characters = _Characters(lowercase, strip_accents)
        self._words: dict[str, list[int]] = {}  # words seen before
        self._trie: Trie | None = None

    def encode(self, text: str) -> list[int]:
        """Ids of a text without special tokens. Bytes that are not UTF-8 vanish, as U+FFFD does."""
        ids: list[int] = []
        for word in BAD_BYTE.sub("", text).translate(self._characters).split(" "):
            if word:
                ids += self._words[word] if word in self._words else self._encode_word(word)
        return ids

    def decode(self, text: str) -> bytes:
        """The bytes of a normal token's text."""
        return as_bytes(text.replace(SPACE, " "))

    def _encode_word(self, word: str) -> list[int]:
        """The longest token at each place; the unknown token for a word that comes to a place where there is none."""
        if self._trie is None:
            self._trie = Trie(self._tokens.ids.items())
        ids: list[int] = []
        marked, start = SPACE + word, 0
        while start < len(marked):
            matches = self._trie.matches(marked, start)
            if not matches:
                ids = [] if self._unk is None else [self._unk]
                break
            start, token = matches[-1]
            ids.append(token)
        if len(word) <= _LONGEST_REMEMBERED:
            self._words[word] = ids
        return ids


class _Characters(dict[int, str]):
    """What becomes of each character: a table for str.translate that fills itself. Words end up between spaces."""

    def __init__(self, lowercase: bool, strip_accents: bool) -> None:
        super().__init__()
        self._lowercase, self._strip_accents = lowercase, strip_accents

    def __missing__(self, code: int) -> str:
        self[code] = normal = self._normal(chr(code))
        return normal

    def _normal(self, character: str) -> str:
        if self._strip_accents:
            # Of a decomposition only the first character counts, as in llama.cpp: it drops the rest, even of Hangul.
            character = unicodedata.normalize("NFD", character)[0]
        category = unicodedata.category(character)
        if is_white_space(character):
            return " "
        if character in "\0\ufffd" or category in ("Cc", "Cf", "Co"):
            return ""
        if self._strip_accents and category[0] == "M":
            return ""
        lower = lower_case(character) if self._lowercase else character
        if category[0] == "P" or (category[0] == "S" and character < "\x7f") or _is_ideograph(character):
            return f" {lower} "
        return lower


def is_white_space(character: str) -> bool:
    """Unicode's White_Space; Python's isspace() has four separators of ASCII more."""
    return character.isspace() and not "\x1c" <= character <= "\x1f"


def lower_case(character: str) -> str:
    """One character for one, where Python's lower() makes two of "İ"."""
    return character.lower()[0]


def _is_ideograph(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in _IDEOGRAPHS)
