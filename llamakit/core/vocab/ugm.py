"""Unigram (`tokenizer.ggml.model` = t5): of all ways to cut a text into tokens, the one with the highest sum of scores.

Two engines with the same result: our own search starts at once and serves a prompt; the tokenizers library takes over
where its start (0.1 to 0.8 s) pays.
"""

from __future__ import annotations

import struct
from functools import cached_property
from typing import TYPE_CHECKING

from llamakit.core.vocab.charsmap import Charsmap
from llamakit.core.vocab.text import BAD_BYTE, SPACE, as_bytes
from llamakit.core.vocab.tokens import TokenTable, TokenType, ids_of_types

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LIBRARY_AFTER = 1 << 17  # characters
_USABLE = (TokenType.NORMAL, TokenType.USER_DEFINED, TokenType.UNUSED)
_UNKNOWN_PENALTY = 10.0  # below the lowest score
_UNREACHABLE = "\U0010ffff"  # starts the texts of tokens that no text may lead to


class UGM:
    """Token ids of text fragments, and the bytes of normal tokens."""

    def __init__(
        self,
        tokens: TokenTable,
        charsmap: Charsmap | None,
        *,
        unk: int | None,
        add_space_prefix: bool,
        merge_spaces: bool,
    ) -> None:
        self._tokens, self._unk = tokens, 0 if unk is None else unk
        self._charsmap = charsmap
        self._add_space_prefix, self._merge_spaces = add_space_prefix, merge_spaces
        self._n_seen = 0  # characters encoded so far

    def encode(self, text: str) -> list[int]:
        """Ids of a text without special tokens. Bytes that are not UTF-8 count as U+FFFD each."""
        text = text if self._charsmap is None else self._charsmap.replace(text)
        text = self._escape(BAD_BYTE.sub("\ufffd", text))
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
        ids, types, scores, unknown_score = self._tokens.ids, self._tokens.types, self._scores, self._unknown_score
        sums = [0.0] + [float("-inf")] * len(text)  # of the best way to each place
        last = [(self._unk, 0)] * (len(text) + 1)  # its last token, and where that begins
        for start in range(len(text)):
            so_far, is_known = sums[start], False
            for n in self._lengths:
                end = start + n
                token = ids.get(text[start:end]) if end <= len(text) else None
                if token is None or types[token] not in _USABLE:
                    continue
                is_known = is_known or n == 1
                if so_far + scores[token] > sums[end]:
                    sums[end], last[end] = so_far + scores[token], (token, start)
            if not is_known and so_far + unknown_score > sums[start + 1]:
                sums[start + 1], last[start + 1] = so_far + unknown_score, (self._unk, start)
        best: list[int] = []
        end = len(text)
        while end:
            token, end = last[end]
            if not (token == self._unk and best and best[-1] == token):
                best.append(token)
        return best[::-1]

    @cached_property
    def _lengths(self) -> list[int]:
        """Of token texts, in characters, ascending."""
        return sorted(set(map(len, self._tokens.ids)))

    @cached_property
    def _scores(self) -> list[float]:
        scores = self._tokens.scores.copy()
        for token in ids_of_types(self._tokens.types, TokenType.USER_DEFINED):
            scores[token] = 0.0
        return scores

    @cached_property
    def _unknown_score(self) -> float:
        normal = ids_of_types(self._tokens.types, TokenType.NORMAL)
        lowest = min(map(self._tokens.scores.__getitem__, normal), default=0.0)
        score: float = struct.unpack("f", struct.pack("f", lowest - _UNKNOWN_PENALTY))[0]  # float32, as in llama.cpp
        return score

    @cached_property
    def _library(self) -> Tokenizer:
        from tokenizers import Tokenizer
        from tokenizers.models import Unigram

        tokens = self._tokens
        usable = {i for i in tokens.ids.values() if tokens.types[i] in _USABLE}
        entries = [
            (text, self._scores[i]) if i in usable else (f"{_UNREACHABLE}{i}", 0.0)
            for i, text in enumerate(tokens.texts)
        ]
        # One more, as low as the library wants it for the same score of the unknown token.
        entries.append((_UNREACHABLE, self._unknown_score + _UNKNOWN_PENALTY))
        return Tokenizer(Unigram(entries, self._unk, False))
