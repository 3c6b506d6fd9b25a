"""Vectors of texts beside texts that are continued, and from encoders."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.engine.embed import Embedder
from llamakit.core.engine.load import Model
from llamakit.core.engine.pooling import NONE, Pooling
from llamakit.core.engine.scheduler import EmbeddingRequest, Ended, JobCancelled, Request
from llamakit.core.engine.scheduler.scheduler import Scheduler
from llamakit.errors import ModelError, UsageError

from ....encoders import TEXTS, write_tiny_encoder
from ....running import open_context
from .serving import Case, alone, result, serving

TEXT = (1, *range(20, 120))


@pytest.mark.parametrize("pooling", [Pooling.MEAN, Pooling.LAST, Pooling.CLS, Pooling.NONE])
def test_a_model_that_continues_texts_makes_vectors_too(path, vocab, pooling):
    case = Case((1, 50), n_predict=40, seed=2)
    (wanted,) = alone(path, vocab, [case])
    with Embedder(Model(path), pooling=pooling) as embedder:
        vector = embedder.embed([TEXT], NONE).squeeze()
    with serving(path, vocab, 2) as (_, scheduler):
        beside = scheduler.submit(case.request(vocab))
        job = scheduler.submit_embedding(EmbeddingRequest(TEXT, pooling, NONE))
        np.testing.assert_allclose(job.vector(), vector, atol=1e-5)
        assert job.usage.n_prompt == job.usage.n_prefilled == len(TEXT)
        assert isinstance(job.end, Ended)
        assert result(beside) == wanted
        again = scheduler.submit_embedding(EmbeddingRequest(TEXT, pooling, NONE)).vector()
        np.testing.assert_array_equal(again, scheduler.submit_embedding(EmbeddingRequest(TEXT, pooling, NONE)).vector())


def test_an_encoder_serves_whole_texts_many_at_once(tmp_path):
    path = write_tiny_encoder(tmp_path / "model.gguf", "nomic-bert", {"nomic-bert.pooling_type": 1})
    texts = [*TEXTS, [3], *TEXTS[::-1]]
    with Embedder(Model(path)) as embedder:
        wanted = embedder.embed(texts)
    with (
        open_context(path, n_ctx=128, n_ubatch=128, n_seq_max=3, has_head=False) as context,
        Scheduler(context, None) as scheduler,
    ):
        jobs = [scheduler.submit_embedding(EmbeddingRequest(text)) for text in texts]
        np.testing.assert_array_equal([job.vector() for job in jobs], wanted)
        assert scheduler.stats().counters.n_steps < len(texts)
        with pytest.raises(UsageError, match="makes vectors of texts"):
            scheduler.submit(Request([1], None))
        with pytest.raises(UsageError, match="129 tokens, and no more than 128"):
            scheduler.submit_embedding(EmbeddingRequest([1] * 129))


def test_what_cannot_be_embedded_is_refused_at_once(path, vocab):
    with serving(path, vocab, 1) as (_, scheduler):
        with pytest.raises(ModelError, match="no classifier"):
            scheduler.submit_embedding(EmbeddingRequest(TEXT, Pooling.RANK))
        with pytest.raises(UsageError, match="empty"):
            scheduler.submit_embedding(EmbeddingRequest([]))


def test_a_cancelled_text_has_no_vector(path, vocab):
    with serving(path, vocab, 1) as (_, scheduler):
        endless = scheduler.submit(Case((1, 40), n_predict=-1, n_keep=1).request(vocab))
        job = scheduler.submit_embedding(EmbeddingRequest(TEXT, Pooling.MEAN))
        job.cancel()
        with pytest.raises(JobCancelled):
            job.vector()
        endless.cancel()
