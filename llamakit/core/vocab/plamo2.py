"""PLaMo-2's tokenizer: the cut with the highest sum of rounded scores; characters that are no token become bytes."""

from __future__ import annotations

import math
from functools import cached_property

from llamakit.core.vocab.text import BAD_BYTE, as_bytes
from llamakit.core.vocab.tokens import TokenTable, TokenType
from llamakit.core.vocab.trie import Trie
from llamakit.errors import VocabError

_UNKNOWN_SCORE, _INVALID_SCORE = -10_000_000, -20_000_000  # of a character; scores down to the second do not count


class PLaMo2:
    """Token ids of text fragments, and the bytes of normal tokens. Raises VocabError where a byte token is missing."""

    def __init__(self, tokens: TokenTable) -> None:
        self._tokens = tokens
        missing = [byte for byte in range(256) if f"<0x{byte:02X}>" not in tokens.ids]
        if missing:
            raise VocabError(f"the byte token <0x{missing[0]:02X}> is missing: a plamo2 vocabulary needs all 256")
        self._bytes = [tokens.ids[f"<0x{byte:02X}>"] for byte in range(256)]

    def encode(self, text: str) -> list[int]:
        """Ids of a text without special tokens. Bytes that are not UTF-8 count as U+FFFD each."""
        text = BAD_BYTE.sub("\ufffd", text).removeprefix("\ufeff")
        matches, scores = self._trie.matches, self._scores
        run, longest, after = 0, self._longest, ""  # how often a character stands there, and the one behind a place
        sums = [0] * (len(text) + 1)  # of the best way from each place to the end
        ends, firsts = [0] * len(text), [0] * len(text)  # where its first token ends, and that token
        for start in range(len(text) - 1, -1, -1):
            run, after = run + 1 if text[start] == after else 1, text[start]
            if run <= longest:  # else the tokens here are those found before, which stand `ahead` places on
                found, place = matches(text, start), start
            ahead = place - start
            best, best_end, best_token = sums[start + 1] + _UNKNOWN_SCORE, start + 1, -1
            for end, token in found:  # of equal sums the longest token counts, an unknown one last
                if (total := sums[end - ahead] + scores[token]) >= best:
                    best, best_end, best_token = total, end - ahead, token
            sums[start], ends[start], firsts[start] = best, best_end, best_token
        ids: list[int] = []
        start = 0
        while start < len(text):
            token = firsts[start]
            ids += [token] if token >= 0 else [self._bytes[byte] for byte in text[start].encode()]
            start = ends[start]
        return ids

    def decode(self, text: str) -> bytes:
        """The bytes of a normal token's text."""
        return as_bytes(text)

    @cached_property
    def _longest(self) -> int:
        """Characters of the longest token."""
        return max(map(len, self._tokens.texts))

    @cached_property
    def _scores(self) -> list[int]:
        return [_rounded(score) for score in self._tokens.scores]

    @cached_property
    def _trie(self) -> Trie:
        """Tokens that a text may lead to: none of bytes, and no control tokens, so that no text can forge these."""
        apart = (TokenType.BYTE, TokenType.CONTROL, TokenType.UNKNOWN)
        texts, types = self._tokens.texts, self._tokens.types
        usable = (i for i in self._tokens.ids.values() if types[i] not in apart)
        return Trie((texts[i], i) for i in usable if self._scores[i] > _INVALID_SCORE)


def _rounded(score: float) -> int:
    """Ten-thousandths, halves away from zero."""
    if not math.isfinite(score):
        return _INVALID_SCORE
    return int(math.copysign(math.floor(abs(score) * 1e4 + 0.5), score))
