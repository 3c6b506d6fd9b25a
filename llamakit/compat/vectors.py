"""What a context makes where it is asked for vectors in place of logits (`embeddings`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from llamakit.api.embedding import parse_pooling
from llamakit.core.engine.context import Chunk, Context
from llamakit.core.engine.load import Model
from llamakit.core.engine.pooling import Pool, Pooling, pooling_of

Floats = npt.NDArray[np.float32]


class Vectors:
    """Vectors of a batch's tokens, or with a pooling, of its sequences. Raises UsageError for no known pooling."""

    def __init__(self, model: Model, pooling_type: int) -> None:
        self.pool = Pool(model, parse_pooling(pooling_type) or pooling_of(model))
        self.of_seq: dict[int, Floats] = {}

    @property
    def are_of_tokens(self) -> bool:
        return self.pool.kind is Pooling.NONE

    def compute(self, context: Context, chunks: Sequence[Chunk]) -> list[Floats]:
        """Add tokens to sequences; the vectors of those wanted, or none where sequences have them.

        A sequence's is of those of its tokens that are in the batch.
        """
        self.of_seq = {}
        if self.are_of_tokens:
            return [self.pool.behind(state.copy()) for part in context.hidden_slices(chunks) for state in part]
        pooled = [Chunk(chunk.tokens, chunk.seq, self.pool.rows(len(chunk.tokens))) for chunk in chunks]
        states = np.concatenate([part.copy() for part in context.hidden_slices(pooled)])
        ends = np.cumsum([len(self.pool.rows(len(chunk.tokens))) for chunk in chunks])
        for chunk, own in zip(chunks, np.split(states, ends[:-1]), strict=True):
            self.of_seq[chunk.seq] = self.pool(own)
        return []
