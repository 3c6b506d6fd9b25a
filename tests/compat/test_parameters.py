"""What there is to choose, for editors and for programs that look before they call: as in llama-cpp-python 0.3.36."""

from __future__ import annotations

import inspect

import pytest

import llamakit.compat  # noqa: F401
from llamakit.api.llama import Llama

import llama_cpp  # isort: skip

NEEDED = inspect.Parameter.empty
SAMPLING = {"tfs_z": 1.0, "mirostat_mode": 0, "mirostat_tau": 5.0, "mirostat_eta": 0.1, "model": None}
COMPLETION = {
    "prompt": NEEDED, "suffix": None, "max_tokens": 16, "temperature": 0.8, "top_p": 0.95, "min_p": 0.05,
    "typical_p": 1.0, "logprobs": None, "echo": False, "stop": None, "frequency_penalty": 0.0, "presence_penalty": 0.0,
    "repeat_penalty": 1.0, "top_k": 40, "stream": False, "seed": None, **SAMPLING, "stopping_criteria": None,
    "logits_processor": None, "grammar": None, "logit_bias": None,
}  # fmt: skip
CHAT = {
    "messages": NEEDED, "functions": None, "function_call": None, "tools": None, "tool_choice": None,
    "temperature": 0.2, "top_p": 0.95, "top_k": 40, "min_p": 0.05, "typical_p": 1.0, "stream": False, "stop": None,
    "seed": None, "response_format": None, "max_tokens": None, "presence_penalty": 0.0, "frequency_penalty": 0.0,
    "repeat_penalty": 1.0, **SAMPLING, "logits_processor": None, "grammar": None, "logit_bias": None, "logprobs": None,
    "top_logprobs": None,
}  # fmt: skip
CONSTRUCTOR = {
    "model_path": NEEDED, "n_gpu_layers": 0, "split_mode": 1, "main_gpu": 0, "tensor_split": None,
    "vocab_only": False, "use_mmap": True, "use_mlock": False, "kv_overrides": None, "seed": 0xFFFFFFFF, "n_ctx": 512,
    "n_batch": 512, "n_ubatch": 512, "n_threads": None, "n_threads_batch": None, "rope_scaling_type": -1,
    "pooling_type": -1, "attention_type": -1, "rope_freq_base": 0.0, "rope_freq_scale": 0.0, "yarn_ext_factor": -1.0,
    "yarn_attn_factor": 1.0, "yarn_beta_fast": 32.0, "yarn_beta_slow": 1.0, "yarn_orig_ctx": 0, "logits_all": False,
    "embedding": False, "offload_kqv": True, "flash_attn": False, "op_offload": None, "swa_full": None,
    "no_perf": False, "last_n_tokens_size": 64, "lora_base": None, "lora_scale": 1.0, "lora_path": None, "numa": False,
    "chat_format": None, "chat_handler": None, "draft_model": None, "tokenizer": None, "type_k": None, "type_v": None,
    "spm_infill": False, "verbose": True,
}  # fmt: skip


@pytest.mark.parametrize("kind", [Llama, llama_cpp.Llama])
@pytest.mark.parametrize(
    "method, wanted",
    [
        ("__init__", CONSTRUCTOR),
        ("create_completion", COMPLETION),
        ("__call__", COMPLETION),
        ("create_chat_completion", CHAT),
        ("create_chat_completion_openai_v1", CHAT),
    ],
)
def test_parameters_are_shown_in_their_order_with_their_defaults(kind, method, wanted):
    _, *parameters = inspect.signature(getattr(kind, method)).parameters.values()
    assert [(p.name, p.default) for p in parameters[: len(wanted)]] == list(wanted.items())
    named = inspect.Parameter.KEYWORD_ONLY if method == "__init__" else inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert {p.kind for p in parameters[1 : len(wanted)]} == {named}


def test_a_bound_method_shows_them_too():
    assert next(iter(inspect.signature(Llama.__new__(Llama).create_chat_completion).parameters)) == "messages"
    assert next(iter(inspect.signature(llama_cpp.Llama).parameters)) == "model_path"
