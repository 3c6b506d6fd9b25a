"""Contexts and batches by llama.cpp's functions, for these tests."""

from __future__ import annotations

import llamakit.compat  # noqa: F401

import llama_cpp  # isort: skip


def context_of(model, **fields):
    params = llama_cpp.llama_context_default_params()
    for name, value in {"n_ctx": 64, "n_threads": 1, **fields}.items():
        setattr(params, name, value)
    return llama_cpp.llama_init_from_model(model, params)


def batch_of(tokens, first=0, seq=0, logits=True):
    batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, first + i, 1, logits
        batch.seq_id[i][0] = seq
    return batch


def last_logits(ctx, tokens, first=0):
    """What follows these tokens, the last `first` positions having been computed before."""
    assert llama_cpp.llama_decode(ctx, batch_of(tokens[first:], first=first)) == 0
    n_vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(llama_cpp.llama_get_model(ctx)))
    return list(llama_cpp.llama_get_logits_ith(ctx, -1)[:n_vocab])
