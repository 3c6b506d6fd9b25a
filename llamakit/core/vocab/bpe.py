"""Byte-level BPE (`tokenizer.ggml.model` = gpt2): split by rule, spell bytes as letters, merge by rank.

Splitting is the tokenizers library's. Merging has two engines with the same result: our own loop starts at once and
serves a prompt; the library needs 40 to 350 ms to take in the merges and serves from the point where that pays.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from llamakit.core.vocab.merging import LIBRARY_AFTER, merge_symbols
from llamakit.core.vocab.pretokenizers import SplitRule
from llamakit.core.vocab.text import BAD_BYTE
from llamakit.core.vocab.tokens import TokenTable

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.pre_tokenizers import PreTokenizer


def _byte_letters() -> list[str]:
    """GPT-2's spelling of bytes: printable Latin-1 stands for itself, the other 68 bytes become U+0100, U+0101, ..."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


LETTERS = _byte_letters()
BYTES = {letter: byte for byte, letter in enumerate(LETTERS)}


class BPE:
    """Token ids of text fragments, and the bytes of normal tokens."""

    def __init__(self, tokens: TokenTable, merges: list[str], rule: SplitRule) -> None:
        self._tokens, self._ids, self._merges, self._rule = tokens, tokens.ids, merges, rule
        self._n_seen = 0  # characters encoded so far

    def encode(self, text: str) -> list[int]:
        """Ids of a text without special tokens. Bytes that are not UTF-8 count as U+FFFD each."""
        text = BAD_BYTE.sub("\ufffd", text)
        self._n_seen += len(text)
        if self._n_seen > LIBRARY_AFTER and self._library is not None:
            ids: list[int] = self._library.encode_batch_fast([text], add_special_tokens=False)[0].ids
            return ids
        return [token for piece, _ in self._splitter.pre_tokenize_str(text) for token in self._encode_piece(piece)]

    def decode(self, text: str) -> bytes:
        """The bytes of a normal token's text; letters that stand for no byte are spelt out as llama.cpp does."""
        try:
            return bytes([BYTES[letter] for letter in text])
        except KeyError:
            return b"".join(self._decode_letter(letter, text) for letter in text)

    @staticmethod
    def _decode_letter(letter: str, text: str) -> bytes:
        if letter in BYTES:
            return bytes([BYTES[letter]])
        raw = letter.encode("utf-8", "surrogateescape")
        return b"[UNK_BYTE_0x" + raw.hex().encode() + text.encode("utf-8", "surrogateescape") + b"]"

    def _encode_piece(self, piece: str) -> list[int]:
        if self._rule.ignore_merges and piece in self._ids:
            return [self._ids[piece]]
        ids: list[int] = []
        for symbol in merge_symbols(list(piece), self._rank):
            if symbol in self._ids:
                ids.append(self._ids[symbol])
            else:  # as in llama.cpp, which looks the symbol up byte by byte: only ASCII can be found, the rest is dropped
                ids += [self._ids[letter] for letter in symbol if letter.isascii() and letter in self._ids]
        return ids

    def _rank(self, left: str, right: str) -> int | None:
        return self._ranks.get(f"{left} {right}")  # letters never hold a space, so the joined key is unambiguous

    @cached_property
    def _ranks(self) -> dict[str, int]:
        """Merge -> rank; of equal merges the first one counts."""
        ranks = dict(zip(self._merges, range(len(self._merges)), strict=True))
        if len(ranks) < len(self._merges):
            ranks = dict(zip(reversed(self._merges), reversed(range(len(self._merges))), strict=True))
        return ranks

    @cached_property
    def _splitter(self) -> PreTokenizer:
        from tokenizers import Regex
        from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

        splits = [Split(Regex(pattern), "isolated") for pattern in self._rule.patterns]
        return Sequence([*splits, ByteLevel(add_prefix_space=False, use_regex=False)])

    @cached_property
    def _library(self) -> Tokenizer | None:
        """The library's engine; None for a vocabulary that it would read differently."""
        from tokenizers import Regex, Tokenizer
        from tokenizers.models import BPE as LibraryBPE
        from tokenizers.pre_tokenizers import Sequence, Split

        known = self._ids.keys()
        pairs = []
        for merge in dict.fromkeys(self._merges):
            left, _, right = merge.partition(" ")
            if not (left in known and right in known and left + right in known):
                return None
            pairs.append((left, right))
        missing = [letter for letter in LETTERS if letter not in known]
        if not self._tokens.is_utf8 or (missing and self._rule.ignore_merges):
            return None
        tokenizer = Tokenizer(LibraryBPE(self._ids, pairs, ignore_merges=self._rule.ignore_merges))
        tokenizer.pre_tokenizer = self._splitter
        if missing:  # such letters merge with nothing and are dropped; the library would merge across the gap
            gap = Split(Regex("|".join(map(re.escape, missing))), "removed")
            tokenizer.pre_tokenizer = Sequence([self._splitter, gap])
        return tokenizer
