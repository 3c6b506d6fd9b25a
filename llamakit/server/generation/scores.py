"""Tokens with their log-probabilities, as JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from math import exp
from typing import TYPE_CHECKING, Any

from llamakit.core.engine.scheduler import ScoredPiece
from llamakit.core.engine.scheduler.event import Score
from llamakit.core.vocab.stream import TextStream

if TYPE_CHECKING:
    from llamakit.core.vocab.base import Vocab

LOWEST = -sys.float_info.max  # in place of -inf, which JSON has not
Scored = ScoredPiece | Score


def entry(vocab: Vocab, token: int, logprob: float, is_post: bool = False) -> dict[str, Any]:
    """A token as chats and llama-server tell it. `is_post`: a probability after all samplers."""
    piece = vocab.piece(token, special=True)
    score = {"prob": exp(logprob)} if is_post else {"logprob": max(logprob, LOWEST)}
    return {"id": token, "token": piece.decode("utf-8", "replace"), "bytes": list(piece), **score}


def entries(vocab: Vocab, pieces: Iterable[Scored], is_post: bool = False) -> list[dict[str, Any]]:
    """Tokens with the likeliest ones in their places: the `content` of a chat's logprobs."""
    top = "top_probs" if is_post else "top_logprobs"
    return [
        {
            **entry(vocab, piece.token, piece.logprob, is_post),
            top: [entry(vocab, token, logprob, is_post) for token, logprob in piece.likeliest],
        }
        for piece in pieces
    ]


class LegacyScores:
    """The logprobs of OpenAI's older completions: lists of tokens side by side, with their places in the text.

    Places count characters, and go on from call to call, as they do in the chunks of a stream.
    """

    def __init__(self, vocab: Vocab) -> None:
        self.vocab, self.stream, self.offset = vocab, TextStream(vocab), 0

    def of(self, pieces: Iterable[Scored | int], n_top: int) -> dict[str, Any]:
        """A bare number is a token without a score, as the first one of a prompt is."""
        tokens, scores, tops, offsets = [], [], [], []
        for piece in pieces:
            token = piece if isinstance(piece, int) else piece.token
            tokens.append(spelled(self.vocab, token))
            offsets.append(self.offset)
            self.offset += len(self.stream.push(token))
            scores.append(None if isinstance(piece, int) else max(piece.logprob, LOWEST))
            tops.append(None if isinstance(piece, int) or not n_top else self.likeliest(piece))
        return {"tokens": tokens, "token_logprobs": scores, "top_logprobs": tops, "text_offset": offsets}

    def likeliest(self, piece: Scored) -> dict[str, float]:
        """The likeliest tokens, and the one that it is."""
        top: dict[str, float] = {}
        for token, logprob in (*piece.likeliest, (piece.token, piece.logprob)):
            top.setdefault(spelled(self.vocab, token), max(logprob, LOWEST))
        return top


def spelled(vocab: Vocab, token: int) -> str:
    """A token's text, or OpenAI's spelling of bytes that are no whole characters."""
    piece = vocab.piece(token, special=True)
    try:
        return piece.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)
