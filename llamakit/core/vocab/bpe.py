"""Byte-level BPE (`tokenizer.ggml.model` = gpt2): split by rule, spell bytes as letters, merge by rank.

Splitting is the tokenizers library's. Merging has two engines with the same result: our own loop starts at once and
serves a prompt; the library needs 40 to 350 ms to take in the merges and serves from the point where that pays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

from llamakit.core.vocab.merging import LIBRARY_AFTER, merge_symbols
from llamakit.core.vocab.pretokenizers import SplitRule
from llamakit.core.vocab.text import BAD_BYTE, as_bytes, is_utf8
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
            return self._library.encode(text)
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
        return b"[UNK_BYTE_0x" + as_bytes(letter).hex().encode() + as_bytes(text) + b"]"

    def _encode_piece(self, piece: str) -> list[int]:
        if self._rule.ignore_merges and piece in self._ids:
            return [self._ids[piece]]
        symbols = merge_symbols(list(piece), self._rank)
        return [token for symbol in symbols for token in _symbol_ids(symbol, self._ids)]

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
    def _library(self) -> _Library | None:
        return _Library.build(self._tokens, self._merges, self._splitter, self._rule.ignore_merges)


def _symbol_ids(symbol: str, ids: dict[str, int]) -> list[int]:
    """Ids of a symbol that merges no further. One that is no token is looked up byte by byte, as in llama.cpp, which
    finds ASCII letters only and drops the rest."""
    if symbol in ids:
        return [ids[symbol]]
    return [ids[letter] for letter in symbol if letter.isascii() and letter in ids]


@dataclass(frozen=True, slots=True)
class _Library:
    """The tokenizers library's engine.

    It wants every byte and every part and result of a merge to be a token: those that are not get ids from n_vocab
    on, and `extra` says what to put in their place.
    """

    tokenizer: Tokenizer
    n_vocab: int
    extra: list[list[int]]

    @classmethod
    def build(
        cls, tokens: TokenTable, merges: list[str], splitter: PreTokenizer, ignore_merges: bool
    ) -> _Library | None:
        """None where whole pieces are tokens (ignore_merges) and a part is none: the library would emit that part."""
        from tokenizers import Tokenizer
        from tokenizers.models import BPE as LibraryBPE

        ids = tokens.ids if tokens.is_utf8 else {text: i for text, i in tokens.ids.items() if is_utf8(text)}
        pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in dict.fromkeys(merges))]
        pairs = [pair for pair in pairs if " " not in pair[1]]  # a part with a space occurs in no piece
        parts = {*LETTERS, *chain.from_iterable(pairs), *map("".join, pairs)}
        absent = sorted(parts - ids.keys())
        if absent and ignore_merges:
            return None
        n_vocab = len(tokens.texts)
        extra_ids = {text: n_vocab + k for k, text in enumerate(absent)}
        tokenizer = Tokenizer(LibraryBPE(ids | extra_ids, pairs, ignore_merges=ignore_merges))
        tokenizer.pre_tokenizer = splitter
        return cls(tokenizer, n_vocab, [_symbol_ids(text, ids) for text in absent])

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids
        if not self.extra:
            return ids
        n_vocab, extra = self.n_vocab, self.extra
        return [token for i in ids for token in (extra[i - n_vocab] if i >= n_vocab else (i,))]
