"""Vectors by llama.cpp's functions."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.engine.embed import Embedder
from llamakit.core.engine.load import load_model
from llamakit.core.engine.pooling import NONE, Pooling
from llamakit.errors import UsageError

from .low import batch_of, context_of, last_logits

import llama_cpp  # isort: skip

TEXTS = ("the cat sat", "the")
F32 = {"type_k": llama_cpp.GGML_TYPE_F32, "type_v": llama_cpp.GGML_TYPE_F32}  # as embedders compute


@pytest.fixture(scope="module")
def expected(path):
    """Tokens of TEXTS and their vectors, by token and by mean, as the engine itself has them."""
    with load_model(path) as model:
        tokens = [model.vocab.encode(text) for text in TEXTS]
        made = []
        for pooling in (Pooling.NONE, Pooling.MEAN):
            with Embedder(model, pooling=pooling, n_ctx=64, n_threads=1) as embedder:
                made.append(list(embedder.vectors(tokens, NONE)))
    return tokens, *made


def as_array(pointer, width):
    return np.array(pointer[:width], np.float32)


def test_each_token_has_a_vector_without_pooling(model, expected):
    (tokens, _), (by_token, _), _ = expected
    ctx = context_of(model, embeddings=True, pooling_type=llama_cpp.LLAMA_POOLING_TYPE_NONE, **F32)
    assert llama_cpp.llama_decode(ctx, batch_of(tokens)) == 0
    width = by_token.shape[1]
    found = [as_array(llama_cpp.llama_get_embeddings_ith(ctx, i), width) for i in range(len(tokens))]
    np.testing.assert_allclose(found, by_token, atol=1e-5)
    rows = as_array(llama_cpp.llama_get_embeddings(ctx), width * len(tokens)).reshape(-1, width)
    np.testing.assert_array_equal(rows, found)
    assert llama_cpp.llama_get_embeddings_seq(ctx, 0) is None
    assert llama_cpp.llama_get_embeddings_ith(ctx, len(tokens)) is None


def test_each_sequence_has_a_vector_with_pooling(model, expected):
    tokens, _, by_mean = expected
    ctx = context_of(model, embeddings=True, pooling_type=llama_cpp.LLAMA_POOLING_TYPE_MEAN, n_seq_max=2, **F32)
    both = batch_of(tokens[0] + tokens[1])
    for i in range(len(tokens[1])):
        both.pos[len(tokens[0]) + i], both.seq_id[len(tokens[0]) + i][0] = i, 1
    assert llama_cpp.llama_decode(ctx, both) == 0
    found = [as_array(llama_cpp.llama_get_embeddings_seq(ctx, seq), len(by_mean[0])) for seq in (0, 1)]
    np.testing.assert_allclose(found, by_mean, atol=1e-5)
    assert llama_cpp.llama_get_embeddings(ctx) is None and llama_cpp.llama_get_embeddings_ith(ctx, 0) is None
    assert llama_cpp.llama_get_embeddings_seq(ctx, 2) is None


def test_vectors_and_logits_take_turns(model, expected):
    (tokens, _), _, _ = expected
    ctx, other = context_of(model), context_of(model)
    logits = last_logits(ctx, tokens)
    assert llama_cpp.llama_get_embeddings_ith(ctx, -1) is None
    llama_cpp.llama_set_embeddings(other, True)
    assert llama_cpp.llama_decode(other, batch_of(tokens[:-1])) == 0
    llama_cpp.llama_set_embeddings(other, False)
    np.testing.assert_allclose(last_logits(other, tokens, len(tokens) - 1), logits, atol=1e-4)


def test_what_a_model_cannot_be_made_to_do_is_refused(model):
    ctx = context_of(model)
    assert llama_cpp.llama_get_causal_attn(ctx)
    llama_cpp.llama_set_causal_attn(ctx, True)
    with pytest.raises(UsageError, match=r"attention\.causal"):
        llama_cpp.llama_set_causal_attn(ctx, False)
    with pytest.raises(UsageError, match="llama_encode"):
        llama_cpp.llama_encode(ctx, batch_of([1]))
    ranked = context_of(model, embeddings=True, pooling_type=llama_cpp.LLAMA_POOLING_TYPE_RANK)
    with pytest.warns(UserWarning, match="has no classifier"):
        assert llama_cpp.llama_decode(ranked, batch_of([1])) == -1


def test_an_encoder_reads_by_either_function(path):
    """A model that sees all of a text at once, made of the same file by an override."""
    params = llama_cpp.llama_model_default_params()
    override = llama_cpp.llama_model_kv_override(
        tag=llama_cpp.LLAMA_KV_OVERRIDE_TYPE_BOOL, key=b"llama.attention.causal"
    )
    override.value.val_bool = False
    params.kv_overrides = (llama_cpp.llama_model_kv_override * 2)(override)
    model = llama_cpp.llama_model_load_from_file(path.encode(), params)
    vectors = []
    for compute in (llama_cpp.llama_encode, llama_cpp.llama_decode):
        ctx = context_of(model, embeddings=True)
        assert not llama_cpp.llama_get_causal_attn(ctx)
        assert compute(ctx, batch_of([1, 70, 71])) == 0
        vectors.append(as_array(llama_cpp.llama_get_embeddings_ith(ctx, 0), llama_cpp.llama_model_n_embd(model)))
    llama_cpp.llama_model_free(model)
    np.testing.assert_array_equal(*vectors)
