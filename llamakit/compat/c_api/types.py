"""Structures and names of types. Pointers are numbers: `llama_model_p` and its like only say what to."""

from __future__ import annotations

import ctypes
from typing import NewType

from llamakit.compat.batches import llama_batch, llama_pos, llama_seq_id, llama_token
from llamakit.compat.params import ContextParams, ModelParams

llama_model_p = NewType("llama_model_p", int)
llama_vocab_p = NewType("llama_vocab_p", int)
llama_context_p = NewType("llama_context_p", int)
llama_memory_t = NewType("llama_memory_t", int)
llama_sampler_p = NewType("llama_sampler_p", int)
llama_model_params, llama_context_params = ModelParams, ContextParams
llama_token_p = ctypes.POINTER(llama_token)
llama_log_callback = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


class llama_logit_bias(ctypes.Structure):
    _fields_ = (("token", llama_token), ("bias", ctypes.c_float))


class llama_sampler_chain_params(ctypes.Structure):
    _fields_ = (("no_perf", ctypes.c_bool),)


TYPES = {
    "llama_token": llama_token, "llama_pos": llama_pos, "llama_seq_id": llama_seq_id, "llama_token_p": llama_token_p,
    "llama_batch": llama_batch, "llama_logit_bias": llama_logit_bias, "llama_log_callback": llama_log_callback,
    "llama_sampler_chain_params": llama_sampler_chain_params, "llama_model_params": llama_model_params,
    "llama_context_params": llama_context_params, "llama_model_p": llama_model_p, "llama_vocab_p": llama_vocab_p,
    "llama_context_p": llama_context_p, "llama_memory_t": llama_memory_t, "llama_sampler_p": llama_sampler_p,
    "llama_model_p_ctypes": ctypes.c_void_p, "llama_vocab_p_ctypes": ctypes.c_void_p,
    "llama_context_p_ctypes": ctypes.c_void_p, "llama_sampler_p_ctypes": ctypes.c_void_p,
}  # fmt: skip
