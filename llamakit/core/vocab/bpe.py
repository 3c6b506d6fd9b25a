"""BPE (`tokenizer.ggml.model` = gpt2, gemma4): split by rule, spell bytes as letters, merge by rank.

Splitting is the tokenizers library's. Merging has two engines with the same result: our own loop starts at once and
serves a prompt; the library needs 40 to 350 ms to take in the merges and serves from the point where that pays.

Rules that are "raw" do not spell bytes as letters: pieces and tokens are text, with U+2581 for a space, and characters
that are no token become byte tokens, as SentencePiece does it.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from llamakit.core.vocab.bpe_library import BPELibrary
from llamakit.core.vocab.letters import BYTES
from llamakit.core.vocab.merging import LIBRARY_AFTER, merge_symbols
from llamakit.core.vocab.pretokenizers import SplitRule
from llamakit.core.vocab.text import BAD_BYTE, SPACE, as_bytes
from llamakit.core.vocab.tokens import TokenTable
from llamakit.errors import VocabError

if TYPE_CHECKING:
    from tokenizers.pre_tokenizers import PreTokenizer

_NEWLINES_APART = re.compile(r"[^\n]+|\n+")


class BPE:
    """Token ids of text fragments, and the bytes of normal tokens."""

    def __init__(self, tokens: TokenTable, merges: list[str], rule: SplitRule) -> None:
        self._tokens, self._ids, self._merges, self._rule = tokens, tokens.ids, merges, rule
        self._n_seen = 0  # characters encoded so far

    def encode(self, text: str) -> list[int]:
        """Ids of a text without special tokens. Bytes that are not UTF-8 count as U+FFFD each.

        Raises VocabError where the splitting rule takes more than ten million steps for one piece, which only a run of
        as many blanks, or a rule of the file's own, can bring about.
        """
        try:
            return self._encode(BAD_BYTE.sub("\ufffd", text))
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # what the library throws is no Exception, and has no name
                raise
            raise VocabError(f"the splitting rule of the vocabulary gives up on this text: {error}") from None

    def _encode(self, text: str) -> list[int]:
        if self._rule.escape_spaces:
            text = text.replace(" ", SPACE)
        self._n_seen += len(text)
        if self._n_seen > LIBRARY_AFTER and self._library is not None:
            return self._encode_long(text, self._library)
        return [token for piece, _ in self._splitter.pre_tokenize_str(text) for token in self._encode_piece(piece)]

    def decode(self, text: str) -> bytes:
        """The bytes of a normal token's text; letters that stand for no byte are spelt out as llama.cpp does."""
        if self._rule.raw:
            return as_bytes(text.replace(SPACE, " ") if self._rule.escape_spaces else text)
        try:
            return bytes([BYTES[letter] for letter in text])
        except KeyError:
            return b"".join(_decode_letter(letter, text) for letter in text)

    def _encode_piece(self, piece: str) -> list[int]:
        if self._is_whole(piece):
            return [self._ids[piece]]
        symbols = merge_symbols(list(piece), self._rank)
        return [token for symbol in symbols for token in self._symbol_ids(symbol)]

    def _is_whole(self, piece: str) -> bool:
        rule = self._rule
        return (rule.ignore_merges or (rule.whole_newlines and not piece.strip("\n"))) and piece in self._ids

    def _encode_long(self, text: str, library: BPELibrary) -> list[int]:
        if not self._rule.whole_newlines:
            return library.encode([text])[0]
        pieces = _NEWLINES_APART.findall(text)
        known = {piece: [self._ids[piece]] for piece in set(pieces) if self._is_whole(piece)}
        merged = sorted(set(pieces) - known.keys())
        known.update(zip(merged, library.encode(merged), strict=True))
        return [token for piece in pieces for token in known[piece]]

    def _symbol_ids(self, symbol: str) -> list[int]:
        """Ids of a symbol that merges no further. One that is no token is looked up byte by byte, as in llama.cpp:
        raw bytes as <0xHH>; letters as they are, which finds ASCII letters only. Bytes without a token are dropped."""
        ids = self._ids
        if symbol in ids:
            return [ids[symbol]]
        if self._rule.raw:
            return [ids[text] for text in map("<0x{:02X}>".format, symbol.encode()) if text in ids]
        return [ids[letter] for letter in symbol if letter.isascii() and letter in ids]

    def _rank(self, left: str, right: str) -> int | None:
        return self._ranks.get(f"{left} {right}")  # spaces are spelt or escaped, so the joined key is unambiguous

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
        return Sequence([*splits, *([] if self._rule.raw else [ByteLevel(add_prefix_space=False, use_regex=False)])])

    @cached_property
    def _library(self) -> BPELibrary | None:
        return BPELibrary.build(self._tokens, self._merges, self._splitter, self._rule, self._symbol_ids)


def _decode_letter(letter: str, text: str) -> bytes:
    if letter in BYTES:
        return bytes([BYTES[letter]])
    return b"[UNK_BYTE_0x" + as_bytes(letter).hex().encode() + as_bytes(text) + b"]"
