"""Functions of a context: batches, logits, the cache, states."""

from __future__ import annotations

import ctypes
import sys
import warnings
from typing import Any

from llamakit.compat.batches import llama_batch, llama_token, new_batch
from llamakit.compat.contexts import LlamaContext
from llamakit.compat.internals import LlamaModel
from llamakit.compat.params import ContextParams
from llamakit.compat.pointers import at, free, keep, pointer_to
from llamakit.compat.timings import llama_perf_context_data
from llamakit.errors import UsageError


def llama_context_default_params() -> ContextParams:
    return ContextParams()


def llama_init_from_model(model: Any, params: ContextParams) -> int | None:
    """A pointer to a context; None, with a warning that says why, where it cannot be made."""
    try:
        return keep(LlamaContext(model=at(model, LlamaModel), params=params))
    except ValueError as error:
        warnings.warn(str(error), stacklevel=2)
        return None


def llama_free(ctx: Any) -> None:
    at(ctx, LlamaContext).close()
    free(ctx)


def llama_n_ctx(ctx: Any) -> int:
    return at(ctx, LlamaContext).n_ctx()


def llama_n_batch(ctx: Any) -> int:
    return at(ctx, LlamaContext).params.n_batch


def llama_n_ubatch(ctx: Any) -> int:
    return at(ctx, LlamaContext).params.n_ubatch


def llama_n_seq_max(ctx: Any) -> int:
    return at(ctx, LlamaContext).params.n_seq_max


def llama_get_model(ctx: Any) -> int:
    return pointer_to(at(ctx, LlamaContext).model)


def llama_pooling_type(ctx: Any) -> int:
    return at(ctx, LlamaContext).pooling_type()


def llama_n_threads(ctx: Any) -> int:
    with at(ctx, LlamaContext).at_work() as context:
        return context.n_threads


def llama_n_threads_batch(ctx: Any) -> int:
    with at(ctx, LlamaContext).at_work() as context:
        return context.n_threads_batch


def llama_set_n_threads(ctx: Any, n_threads: int, n_threads_batch: int) -> None:
    at(ctx, LlamaContext).set_n_threads(n_threads, n_threads_batch)


def llama_synchronize(ctx: Any) -> None:
    """Nothing is still being computed when `llama_decode` returns."""


# batches
def llama_batch_init(n_tokens: int, embd: int, n_seq_max: int) -> llama_batch:
    """An empty batch of token ids. Raises ValueError where vectors are wanted in their place."""
    if embd:
        raise ValueError("batches of vectors in place of tokens are not computed here: embd must be 0")
    return new_batch(n_tokens, 1)


def llama_batch_get_one(tokens: Any, n_tokens: int) -> llama_batch:
    """Tokens that go on with sequence 0."""
    made = llama_batch(n_tokens=n_tokens)
    made.token = ctypes.cast(tokens, ctypes.POINTER(llama_token))
    return made


def llama_batch_free(batch: llama_batch) -> None:
    """Nothing: Python frees it."""


def llama_decode(ctx: Any, batch: llama_batch) -> int:
    """0, or why not: 1 where the cache is full, -1 where the batch does not fit what is there."""
    code, reason = at(ctx, LlamaContext).decoded(batch)
    if code:
        warnings.warn(f"llama_decode: {reason}", stacklevel=2)
    return code


def llama_get_logits(ctx: Any) -> Any:
    return at(ctx, LlamaContext).get_logits()


def llama_get_logits_ith(ctx: Any, i: int) -> Any:
    """A pointer to float; None where a token has no logits."""
    try:
        return at(ctx, LlamaContext).get_logits_ith(i)
    except IndexError:
        return None


def llama_encode(ctx: Any, batch: llama_batch) -> int:
    """`llama_decode` of models that see all of a text at once. Raises UsageError for others."""
    model = at(ctx, LlamaContext).model.opened
    if model.decoder.is_causal:
        raise UsageError("llama_encode: sources of encoder-decoders are read by llamakit's own Context.encode alone")
    return llama_decode(ctx, batch)


# vectors
def llama_set_embeddings(ctx: Any, embeddings: bool) -> None:
    """From the next batch on, vectors are computed in place of logits."""
    at(ctx, LlamaContext).embeddings = bool(embeddings)


def llama_set_causal_attn(ctx: Any, causal_attn: bool) -> None:
    """Raises UsageError for another than the model's: it is said when the file is opened."""
    if bool(causal_attn) != llama_get_causal_attn(ctx):
        raise UsageError(
            "llama_set_causal_attn: the model's own way is kept; kv_overrides has {ARCH}.attention.causal for another"
        )


def llama_get_causal_attn(ctx: Any) -> bool:
    return at(ctx, LlamaContext).model.opened.decoder.is_causal


def llama_get_embeddings(ctx: Any) -> Any:
    """A pointer to the vectors of the tokens that have them, one behind the other; None where sequences have them."""
    try:
        return at(ctx, LlamaContext).get_embeddings()
    except IndexError:
        return None


def llama_get_embeddings_ith(ctx: Any, i: int) -> Any:
    """A pointer to float; None where a token has no vector."""
    try:
        return at(ctx, LlamaContext).get_embeddings_ith(i)
    except IndexError:
        return None


def llama_get_embeddings_seq(ctx: Any, seq_id: int) -> Any:
    """A pointer to float; None where vectors are not pooled, or the last batch has no such sequence."""
    try:
        return at(ctx, LlamaContext).get_embeddings_seq(seq_id)
    except KeyError:
        return None


# time
def llama_perf_context(ctx: Any) -> llama_perf_context_data:
    return at(ctx, LlamaContext).timings.data


def llama_perf_context_print(ctx: Any) -> None:
    print(at(ctx, LlamaContext).timings.text(), file=sys.stderr)


def llama_perf_context_reset(ctx: Any) -> None:
    at(ctx, LlamaContext).timings.reset()


# the cache: its pointer is the context's
def llama_get_memory(ctx: Any) -> int:
    return pointer_to(at(ctx, LlamaContext))


def llama_memory_clear(mem: Any, data: bool) -> None:
    at(mem, LlamaContext).kv_cache_clear()


def llama_memory_seq_rm(mem: Any, seq_id: int, p0: int, p1: int) -> bool:
    return at(mem, LlamaContext).kv_cache_seq_rm(seq_id, p0, p1)


def llama_memory_seq_cp(mem: Any, seq_id_src: int, seq_id_dst: int, p0: int, p1: int) -> None:
    at(mem, LlamaContext).kv_cache_seq_cp(seq_id_src, seq_id_dst, p0, p1)


def llama_memory_seq_keep(mem: Any, seq_id: int) -> None:
    at(mem, LlamaContext).kv_cache_seq_keep(seq_id)


def llama_memory_seq_pos_min(mem: Any, seq_id: int) -> int:
    """0; -1 where the sequence has nothing."""
    return min(0, llama_memory_seq_pos_max(mem, seq_id))


def llama_memory_seq_pos_max(mem: Any, seq_id: int) -> int:
    """The last position; -1 where the sequence has none."""
    return at(mem, LlamaContext).n_past(seq_id) - 1


def llama_memory_seq_add(mem: Any, seq_id: int, p0: int, p1: int, delta: int) -> None:
    """Move up what follows positions that `llama_memory_seq_rm` removed. Raises ValueError for any other move."""
    at(mem, LlamaContext).kv_cache_seq_shift(seq_id, p0, p1, delta)


def llama_memory_seq_div(mem: Any, seq_id: int, p0: int, p1: int, d: int) -> None:
    """Raises UsageError."""
    raise UsageError("llama_memory_seq_div: positions are grouped by llamakit's own Context.group alone")


def llama_memory_can_shift(mem: Any) -> bool:
    with at(mem, LlamaContext).at_work() as context:
        return context.can_shift


# older names
llama_new_context_with_model = llama_init_from_model
llama_kv_cache_clear = llama_kv_self_clear = llama_memory_clear
llama_kv_cache_seq_rm = llama_kv_self_seq_rm = llama_memory_seq_rm
llama_kv_cache_seq_cp = llama_kv_self_seq_cp = llama_memory_seq_cp
llama_kv_cache_seq_keep = llama_kv_self_seq_keep = llama_memory_seq_keep
llama_kv_cache_seq_add = llama_kv_self_seq_add = llama_memory_seq_add
llama_kv_cache_can_shift = llama_kv_self_can_shift = llama_memory_can_shift
