"""Log-probabilities as OpenAI's older completions have them: lists side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from llamakit.core.engine.generate import Piece
from llamakit.core.engine.scheduler import Score, ScoredPiece
from llamakit.core.vocab.stream import TextStream

if TYPE_CHECKING:
    from llamakit.api.said import Sayer
    from llamakit.core.vocab.base import Vocab

Scored = ScoredPiece | Score | int  # a bare id has no score, as the first token of a prompt


class Scores:
    """Of one text; `text_offset` goes on from call to call."""

    def __init__(self, vocab: Vocab, n_top: int, offset: int) -> None:
        self.vocab, self.n_top, self.offset = vocab, n_top, offset
        self._text = TextStream(vocab)

    def prompt(self, sayer: Sayer) -> Sequence[Scored]:
        """The prompt's tokens, where they were scored; BOS is none of its text."""
        if sayer.prompt_scores is None:
            return []
        first = sayer.request.tokens[0]
        start = [] if first == self.vocab.bos_id else [first]
        scores = list(sayer.prompt_scores.scores)
        if not start and scores:  # what follows BOS is the first of the text: it has no score there
            return [scores[0].token, *scores[1:]]
        return [*start, *scores]

    def of(self, pieces: Iterable[Scored | Piece]) -> dict[str, Any]:
        tokens, scores, tops, offsets = [], [], [], []
        for piece in pieces:
            token = piece if isinstance(piece, int) else piece.token
            tokens.append(self.spelled(token))
            offsets.append(self.offset)
            self.offset += len(self._text.push(token))
            scored = piece if isinstance(piece, ScoredPiece | Score) else None
            scores.append(None if scored is None else scored.logprob)
            tops.append(None if scored is None else self.likeliest(scored))
        return {"tokens": tokens, "text_offset": offsets, "token_logprobs": scores, "top_logprobs": tops}

    def likeliest(self, piece: ScoredPiece | Score) -> dict[str, float]:
        """The likeliest tokens, and the one that it is."""
        top = {self.spelled(token): logprob for token, logprob in piece.likeliest[: self.n_top]}
        return {**top, self.spelled(piece.token): piece.logprob}

    def spelled(self, token: int) -> str:
        return self.vocab.piece(token).decode("utf-8", "ignore")
