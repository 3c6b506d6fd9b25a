"""Unigram (`tokenizer.ggml.model` = t5): of all ways to cut a text into tokens, the one with the highest sum of scores.

Two engines with the same result: our own search starts at once and serves a prompt; the tokenizers library takes over
where its start (100 to 400 ms) pays.
"""

from __future__ import annotations

import struct
from functools import cached_property
from typing import TYPE_CHECKING

from llamakit.core.vocab.charsmap import Normalizer
from llamakit.core.vocab.merging import LIBRARY_AFTER
from llamakit.core.vocab.text import BAD_BYTE, SPACE, as_bytes
from llamakit.core.vocab.tokens import TokenTable, TokenType
from llamakit.core.vocab.trie import Trie

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_USABLE = (TokenType.NORMAL, TokenType.USER_DEFINED, TokenType.UNUSED)
_UNKNOWN_PENALTY = 10.0  # below the lowest score
_UNREACHABLE = "\U0010ffff"  # starts the texts of tokens that no text may lead to


class UGM:
    """Token ids of text fragments, and the bytes of normal tokens."""

    def __init__(
        self,
        tokens: TokenTable,
        replacements: dict[str, str],
        *,
        unk: int | None,
        add_space_prefix: bool,
        merge_spaces: bool,
    ) -> None:
        self._tokens, self._unk = tokens, 0 if unk is None else unk
        self._replacements = replacements
        self._add_space_prefix, self._merge_spaces = add_space_prefix, merge_spaces
        self._n_seen = 0  # characters encoded so far

    def encode(self, text: str) -> list[int]:
        """Ids of a text without special tokens. Bytes that are not UTF-8 count as U+FFFD each."""
        text = self._escape(BAD_BYTE.sub("\ufffd", self._normalizer(text)))
        if not text:
            return []
        self._n_seen += len(text)
        if self._n_seen > LIBRARY_AFTER and self._tokens.is_utf8 and _UNREACHABLE not in text:
            ids: list[int] = self._library.encode_batch_fast([text], add_special_tokens=False)[0].ids
            return ids
        return self._best(text)

    def decode(self, text: str) -> bytes:
        """The bytes of a normal token's text."""
        return as_bytes(text.replace(SPACE, " "))

    def _escape(self, text: str) -> str:
        """Spaces as U+2581: one before each word, or those of the text and perhaps one before the first word."""
        if self._merge_spaces:
            return "".join(SPACE + word for word in text.split(" ") if word)
        words = text.lstrip(" ")
        if words and self._add_space_prefix:
            text = text[: len(text) - len(words)] + " " + words
        return text.replace(" ", SPACE)

    def _best(self, text: str) -> list[int]:
        """Viterbi's algorithm; of equal sums the one found first counts. Runs of the unknown token become one."""
        matches, scores, unknown_score = self._trie.matches, self._scores, self._unknown_score
        sums = [0.0] + [float("-inf")] * len(text)  # of the best way to each place
        last = [(self._unk, 0)] * (len(text) + 1)  # its last token, and where that begins
        for start in range(len(text)):
            so_far, is_known = sums[start], False
            for end, token in matches(text, start):
                is_known = is_known or end == start + 1
                total = so_far + scores[token]
                if total > sums[end]:
                    sums[end], last[end] = total, (token, start)
            if not is_known and so_far + unknown_score > sums[start + 1]:
                sums[start + 1], last[start + 1] = so_far + unknown_score, (self._unk, start)
        ids: list[int] = []
        end = len(text)
        while end:
            token, end = last[end]
            if not (token == self._unk and ids and ids[-1] == token):
                ids.append(token)
        return ids[::-1]

    @cached_property
    def _normalizer(self) -> Normalizer:
        return Normalizer(self._replacements)

    @cached_property
    def _usable(self) -> list[int]:
        types = self._tokens.types
        return [i for i in self._tokens.ids.values() if types[i] in _USABLE]

    @cached_property
    def _trie(self) -> Trie:
        return Trie((self._tokens.texts[i], i) for i in self._usable)

    @cached_property
    def _scores(self) -> list[float]:
        types, scores = self._tokens.types, self._tokens.scores
        return [0.0 if types[i] == TokenType.USER_DEFINED else score for i, score in enumerate(scores)]

    @cached_property
    def _unknown_score(self) -> float:
        types, scores = self._tokens.types, self._tokens.scores
        lowest = min((scores[i] for i, kind in enumerate(types) if kind == TokenType.NORMAL), default=0.0)
        score: float = struct.unpack("f", struct.pack("f", lowest - _UNKNOWN_PENALTY))[0]  # float32, as in llama.cpp
        return score

    @cached_property
    def _library(self) -> Tokenizer:
        from tokenizers import Tokenizer
        from tokenizers.models import Unigram

        usable = set(self._usable)
        entries = [
            (text, self._scores[i]) if i in usable else (f"{_UNREACHABLE}{i}", 0.0)
            for i, text in enumerate(self._tokens.texts)
        ]
        # One more, as low as the library wants it for the same score of the unknown token.
        entries.append((_UNREACHABLE, self._unknown_score + _UNKNOWN_PENALTY))
        return Tokenizer(Unigram(entries, self._unk, False))
