"""Batches, logits, the cache and sampler chains by llama.cpp's functions, as frameworks call them."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

import llamakit.compat  # noqa: F401
from llamakit.core.engine.context import Context
from llamakit.core.engine.load import load_model

from .low import batch_of, context_of

import llama_cpp  # isort: skip

TEXT = "the cat sat"


@pytest.fixture(scope="module")
def expected(path):
    """TEXT's tokens, and the logits after each, as the engine itself has them."""
    with load_model(path) as model, Context(model, n_ctx=64, n_threads=1) as context:
        tokens = model.vocab.encode(TEXT)
        return tokens, np.array([context.step(token) for token in tokens])


def logits_of(ctx, n_rows, n_vocab):
    return np.ctypeslib.as_array(llama_cpp.llama_get_logits(ctx), shape=(n_rows, n_vocab)).copy()


def test_a_llamas_own_context_computes_batches(path, expected):
    tokens, logits = expected
    with llama_cpp.Llama(path, n_ctx=64, n_threads=1, verbose=False) as llm:
        assert llama_cpp.llama_n_ctx(llm.ctx) == 64
        assert llama_cpp.llama_decode(llm.ctx, batch_of(tokens)) == 0
        np.testing.assert_allclose(logits_of(llm.ctx, len(tokens), llm.n_vocab()), logits, atol=1e-4)
        memory = llama_cpp.llama_get_memory(llm.ctx)
        assert llama_cpp.llama_memory_seq_rm(memory, -1, 2, -1)
        assert llama_cpp.llama_memory_seq_pos_max(memory, 0) == 1
        assert llama_cpp.llama_decode(llm.ctx, batch_of(tokens[2:], first=2)) == 0
        last = llama_cpp.llama_get_logits_ith(llm.ctx, -1)
        np.testing.assert_allclose(last[: llm.n_vocab()], logits[-1], atol=1e-4)
        assert llm(TEXT, max_tokens=2)["usage"]["completion_tokens"] <= 2
        with pytest.warns(UserWarning, match="goes on at position 0"):  # its cache is the completions' too
            assert llama_cpp.llama_decode(llm.ctx, batch_of(tokens, first=2)) == -1


def test_a_batch_that_does_not_say_goes_on_with_the_first_sequence(model, expected):
    tokens, logits = expected
    ctx = context_of(model)
    ids = (llama_cpp.llama_token * len(tokens))(*tokens)
    assert llama_cpp.llama_decode(ctx, llama_cpp.llama_batch_get_one(ids, len(tokens) - 1)) == 0
    assert llama_cpp.llama_get_logits_ith(ctx, 0) is None
    rest = (llama_cpp.llama_token * 1)(tokens[-1])
    assert llama_cpp.llama_decode(ctx, llama_cpp.llama_batch_get_one(rest, 1)) == 0
    np.testing.assert_allclose(llama_cpp.llama_get_logits_ith(ctx, 0)[: logits.shape[1]], logits[-1], atol=1e-4)


def test_batches_that_do_not_fit_are_refused_with_a_number(model, expected):
    tokens, _ = expected
    ctx = context_of(model)
    unclear = batch_of(tokens)
    unclear.n_seq_id[0] = 2
    for batch, code, reason in (
        (batch_of(tokens, first=3), -1, "goes on at position 0, not 3"),
        (batch_of(tokens, seq=1), -1, "no sequence 1"),
        (batch_of([]), -1, "empty"),
        (unclear, -1, "of one sequence"),
        (batch_of(tokens * 100), 1, "256"),
    ):
        with pytest.warns(UserWarning, match=reason):
            assert llama_cpp.llama_decode(ctx, batch) == code
    with pytest.raises(ValueError, match="embd must be 0"):
        llama_cpp.llama_batch_init(4, 64, 1)


def test_sequences_share_a_beginning_and_go_their_own_ways(model, expected):
    tokens, logits = expected
    ctx = context_of(model, n_seq_max=2)
    llama_cpp.llama_decode(ctx, batch_of(tokens[:-1], logits=False))
    llama_cpp.llama_memory_seq_cp(llama_cpp.llama_get_memory(ctx), 0, 1, 0, -1)
    assert llama_cpp.llama_decode(ctx, batch_of(tokens[-1:], first=len(tokens) - 1, seq=1)) == 0
    np.testing.assert_allclose(logits_of(ctx, 1, logits.shape[1])[0], logits[-1], atol=1e-4)
    memory = llama_cpp.llama_get_memory(ctx)
    assert [llama_cpp.llama_memory_seq_pos_max(memory, seq) for seq in (0, 1)] == [len(tokens) - 2, len(tokens) - 1]
    llama_cpp.llama_memory_clear(memory, True)
    assert llama_cpp.llama_memory_seq_pos_min(memory, 1) == -1


def test_a_sequences_state_goes_on_in_another_context(model, expected):
    tokens, logits = expected
    one, other = context_of(model), context_of(model)
    llama_cpp.llama_decode(one, batch_of(tokens[:-1]))
    size = llama_cpp.llama_state_seq_get_size(one, 0)
    state = (ctypes.c_uint8 * size)()
    assert llama_cpp.llama_state_seq_get_data(one, state, size - 1, 0) == 0
    assert llama_cpp.llama_state_seq_get_data(one, state, size, 0) == size
    assert llama_cpp.llama_state_seq_set_data(other, state, size, 0) == size
    assert llama_cpp.llama_decode(other, batch_of(tokens[-1:], first=len(tokens) - 1)) == 0
    np.testing.assert_allclose(logits_of(other, 1, logits.shape[1])[0], logits[-1], atol=1e-4)
    state[size // 2] ^= 1
    with pytest.warns(UserWarning, match="state"):
        assert llama_cpp.llama_state_seq_set_data(other, state, size, 0) == 0


def test_a_context_that_cannot_be_made_is_none(model):
    with pytest.warns(UserWarning, match="Failed to create"):
        assert context_of(model, n_seq_max=0) is None


# samplers
def chain_of(*stages):
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    for stage in stages:
        llama_cpp.llama_sampler_chain_add(chain, stage)
    return chain


def drawn(model, sampler, n):
    ctx, tokens, first = context_of(model), None, 0
    vocab = llama_cpp.llama_model_get_vocab(model)
    tokens = (llama_cpp.llama_token * 32)()
    tokens = tokens[: llama_cpp.llama_tokenize(vocab, TEXT.encode(), len(TEXT), tokens, 32, True, True)]
    found = []
    for _ in range(n):
        assert llama_cpp.llama_decode(ctx, batch_of(tokens, first)) == 0
        first += len(tokens)
        tokens = [llama_cpp.llama_sampler_sample(sampler, ctx, -1)]
        found += tokens
    return found


def test_a_chain_draws_what_a_llama_draws(path, model):
    options = {"top_k": 20, "top_p": 0.9, "min_p": 0.0, "repeat_penalty": 1.0, "seed": 7}
    with llama_cpp.Llama(path, n_ctx=64, verbose=False) as llm:
        wanted = llm(TEXT, max_tokens=6, temperature=0.9, **options)
        chain = chain_of(
            llama_cpp.llama_sampler_init_top_k(20), llama_cpp.llama_sampler_init_top_p(0.9, 1),
            llama_cpp.llama_sampler_init_temp(0.9), llama_cpp.llama_sampler_init_dist(7),
        )  # fmt: skip
        assert llama_cpp.llama_sampler_chain_n(chain) == 4
        ids = drawn(model, chain, wanted["usage"]["completion_tokens"])
        assert llm.detokenize(ids).decode() == wanted["choices"][0]["text"]
    assert llama_cpp.llama_sampler_get_seed(chain) == 7
    llama_cpp.llama_sampler_free(chain)
    with pytest.raises(ValueError, match="was it freed"):
        llama_cpp.llama_sampler_reset(chain)


def test_one_stage_alone_chooses_too(model, expected):
    assert drawn(model, llama_cpp.llama_sampler_init_greedy(), 1) == [int(expected[1][-1].argmax())]


def test_biases_and_grammars_hold(model):
    biases = (llama_cpp.llama_logit_bias * 1)((9, 1e6))
    n_vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    biased = chain_of(
        llama_cpp.llama_sampler_init_logit_bias(n_vocab, 1, biases), llama_cpp.llama_sampler_init_greedy()
    )
    assert drawn(model, biased, 2) == [9, 9]
    vocab = llama_cpp.llama_model_get_vocab(model)
    held = chain_of(llama_cpp.llama_sampler_init_grammar(vocab, b'root ::= "a"', b"root"))
    for _ in range(2):  # it begins anew
        first, end = drawn(model, held, 2)
        assert llama_cpp.llama_vocab_get_text(vocab, first) in (b"a", b"<0x61>")
        assert llama_cpp.llama_vocab_is_eog(vocab, end)
        llama_cpp.llama_sampler_reset(held)


def test_tokens_are_accepted_before_the_first_draw(model, expected):
    greedy = llama_cpp.llama_sampler_init_greedy
    likeliest = int(expected[1][-1].argmax())
    chain = chain_of(llama_cpp.llama_sampler_init_penalties(400, 64, 1.0, 1e6, 0.0), greedy())
    llama_cpp.llama_sampler_accept(chain, likeliest)
    twin = llama_cpp.llama_sampler_clone(chain)
    assert drawn(model, chain, 1) == drawn(model, twin, 1) != [likeliest]
    llama_cpp.llama_sampler_reset(chain)
    assert drawn(model, chain, 1) == [likeliest]
