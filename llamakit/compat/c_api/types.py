"""Structures and names of types. Pointers are numbers: `llama_model_p` and its like only say what to."""

from __future__ import annotations

import ctypes
from typing import NewType

from llamakit.compat.batches import llama_batch, llama_pos, llama_seq_id, llama_token
from llamakit.compat.c_api.chats import llama_chat_message
from llamakit.compat.params import ContextParams, ModelParams
from llamakit.compat.timings import llama_perf_context_data

llama_model_p = NewType("llama_model_p", int)
llama_vocab_p = NewType("llama_vocab_p", int)
llama_context_p = NewType("llama_context_p", int)
llama_memory_t = NewType("llama_memory_t", int)
llama_sampler_p = NewType("llama_sampler_p", int)
llama_adapter_lora_p = NewType("llama_adapter_lora_p", int)
llama_model_params, llama_context_params = ModelParams, ContextParams
llama_token_p = ctypes.POINTER(llama_token)
llama_log_callback = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


class llama_logit_bias(ctypes.Structure):
    _fields_ = (("token", llama_token), ("bias", ctypes.c_float))


class llama_sampler_chain_params(ctypes.Structure):
    _fields_ = (("no_perf", ctypes.c_bool),)


class llama_token_data(ctypes.Structure):
    _fields_ = (("id", llama_token), ("logit", ctypes.c_float), ("p", ctypes.c_float))


llama_token_data_p = ctypes.POINTER(llama_token_data)


class llama_token_data_array(ctypes.Structure):
    """`selected` is the place of the token that was chosen, -1 before."""

    _fields_ = (
        ("data", llama_token_data_p), ("size", ctypes.c_size_t), ("selected", ctypes.c_int64),
        ("sorted", ctypes.c_bool),
    )  # fmt: skip


class llama_model_kv_override_value(ctypes.Union):
    _fields_ = (
        ("val_i64", ctypes.c_int64), ("val_f64", ctypes.c_double), ("val_bool", ctypes.c_bool),
        ("val_str", ctypes.c_char * 128),
    )  # fmt: skip


class llama_model_kv_override(ctypes.Structure):
    """`tag` says which field of `value` counts: LLAMA_KV_OVERRIDE_TYPE_*."""

    _fields_ = (("tag", ctypes.c_int), ("key", ctypes.c_char * 128), ("value", llama_model_kv_override_value))


TYPES = {
    "llama_token_data": llama_token_data, "llama_token_data_p": llama_token_data_p,
    "llama_token_data_array": llama_token_data_array, "llama_chat_message": llama_chat_message,
    "llama_token_data_array_p": ctypes.POINTER(llama_token_data_array),
    "llama_model_kv_override": llama_model_kv_override,
    "llama_model_kv_override_value": llama_model_kv_override_value, "llama_adapter_lora_p": llama_adapter_lora_p,
    "llama_adapter_lora_p_ctypes": ctypes.c_void_p, "llama_logit_bias_p": ctypes.POINTER(llama_logit_bias),
    "llama_perf_context_data": llama_perf_context_data, "llama_memory_t_ctypes": ctypes.c_void_p,
    "llama_token": llama_token, "llama_pos": llama_pos, "llama_seq_id": llama_seq_id, "llama_token_p": llama_token_p,
    "llama_batch": llama_batch, "llama_logit_bias": llama_logit_bias, "llama_log_callback": llama_log_callback,
    "llama_sampler_chain_params": llama_sampler_chain_params, "llama_model_params": llama_model_params,
    "llama_context_params": llama_context_params, "llama_model_p": llama_model_p, "llama_vocab_p": llama_vocab_p,
    "llama_context_p": llama_context_p, "llama_memory_t": llama_memory_t, "llama_sampler_p": llama_sampler_p,
    "llama_model_p_ctypes": ctypes.c_void_p, "llama_vocab_p_ctypes": ctypes.c_void_p,
    "llama_context_p_ctypes": ctypes.c_void_p, "llama_sampler_p_ctypes": ctypes.c_void_p,
}  # fmt: skip
