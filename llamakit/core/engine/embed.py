"""Texts as vectors: what a model makes of their tokens, before any head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from llamakit.core.engine.context import Chunk, Context, Report
from llamakit.core.engine.load import Model
from llamakit.core.engine.pooling import EUCLID, Pool, Pooling, normalized, pooling_of
from llamakit.errors import UsageError

Floats = npt.NDArray[np.float32]
Text = Sequence[int]  # token ids

MOST_TEXTS = 64  # computed together
USUAL = 512  # tokens computed together, where all need not be


class Embedder:
    """Makes vectors with an encoder, or with a model that continues texts; the latter's last token has seen all.

    n_ctx is the most tokens of a text, and of those computed together; 0 means as many as the model was trained with.
    Without `pooling` and `is_causal`, what the file says holds. Texts have the same bits whatever else is computed.
    Raises ModelError when it does not fit in memory, UsageError for arguments out of range.
    """

    def __init__(
        self,
        model: Model,
        *,
        pooling: Pooling | None = None,
        n_ctx: int = 0,
        n_threads: int | None = None,
        is_causal: bool | None = None,
        report: Report | None = None,
    ) -> None:
        if is_causal is not None:
            model.decoder.is_causal = is_causal
        self.pool = Pool(model, pooling_of(model) if pooling is None else pooling)
        self.n_ctx = n_ctx or model.n_ctx_train
        n_ubatch = min(self.n_ctx, USUAL) if model.decoder.is_causal else self.n_ctx
        self.context = Context(
            model, n_ctx=self.n_ctx, n_batch=self.n_ctx, n_ubatch=n_ubatch, n_threads=n_threads, type_k="f32",
            type_v="f32", n_seq_max=min(MOST_TEXTS, self.n_ctx), has_head=False, report=report,
        )  # fmt: skip

    @property
    def width(self) -> int:
        """Numbers of a vector."""
        return self.pool.width

    def embed(self, texts: Sequence[Text], norm: int = EUCLID) -> Floats:
        """A vector for each text, in order, or, without pooling, for each token.   -> float32 (n, width)

        `norm` as `pooling.normalized` takes it; scores of rank are left as they are.
        """
        parts = [np.atleast_2d(vector) for vector in self.vectors(texts, norm)]
        return np.concatenate(parts) if parts else np.zeros((0, self.width), np.float32)

    def vectors(self, texts: Sequence[Text], norm: int = EUCLID) -> Iterator[Floats]:
        """`embed`, text by text.   -> float32 (width,), or (n_tokens, width) without pooling

        Raises UsageError, before anything is computed, for a text that is empty or too long.
        """
        for i, text in enumerate(texts):
            if not 0 < len(text) <= self.n_ctx:
                raise UsageError(
                    f"text {i} has {len(text)} tokens; there must be some, and no more than the context of {self.n_ctx}"
                )
        for batch in batches(texts, self.n_ctx):
            for states in self.states(batch):
                vector = self.pool(states)
                if self.pool.kind is not Pooling.RANK:
                    vector = normalized(np.atleast_2d(vector), norm).reshape(vector.shape)
                yield vector

    def states(self, batch: Sequence[Text]) -> list[Floats]:
        """The states that pooling needs of texts that are computed together."""
        chunks = [Chunk(text, seq, self.pool.rows(len(text))) for seq, text in enumerate(batch)]
        try:
            states = self.context.decode(chunks)
        finally:
            for chunk in chunks:
                self.context.truncate(0, chunk.seq)
        ends = np.cumsum([len(self.pool.rows(len(text))) for text in batch])
        return np.split(states, ends[:-1])

    def close(self) -> None:
        """End the threads."""
        self.context.close()

    def __enter__(self) -> Embedder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def batches(texts: Sequence[Text], n_tokens: int) -> Iterator[list[Text]]:
    """Texts in order, together as long as they have no more than n_tokens tokens."""
    batch: list[Text] = []
    n = 0
    for text in texts:
        if batch and (n + len(text) > n_tokens or len(batch) == min(MOST_TEXTS, n_tokens)):
            yield batch
            batch, n = [], 0
        batch.append(text)
        n += len(text)
    if batch:
        yield batch
