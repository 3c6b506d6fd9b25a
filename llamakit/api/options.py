"""llama-cpp-python's options in this engine's terms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llamakit.api.arguments import a_function, shown, whole_number
from llamakit.core.engine.rope_overrides import SCALING_TYPES as NAMES
from llamakit.core.engine.rope_overrides import RopeParams
from llamakit.core.gguf.types import GGMLType
from llamakit.errors import UsageError

WHOLE_NUMBERS = ("n_ctx", "n_batch", "n_ubatch", "n_threads", "n_threads_batch", "n_parallel", "last_n_tokens_size")
# Options of machines and builds that this is none of, with what they are where nobody says anything.
IDLE = {
    "n_gpu_layers": 0, "split_mode": 1, "main_gpu": 0, "tensor_split": None, "use_mlock": False, "offload_kqv": True,
    "flash_attn": False, "op_offload": None, "swa_full": None, "no_perf": False, "numa": False,
}  # fmt: skip
ATTENTION = {-1: "the model's own", 0: "causal", 1: "not causal"}  # numbered as in llama.cpp
SCALING_TYPES = dict(enumerate(NAMES))  # numbered as in llama.cpp


def check_options(given: Mapping[str, Any]) -> None:
    """Raise UsageError for what can be seen to be wrong before anything is opened."""
    for name in WHOLE_NUMBERS:
        if given[name] is not None:
            whole_number(name, given[name])
    for name in ("draft_model", "chat_handler"):
        a_function(name, given[name])
    tokenizer = given["tokenizer"]
    if tokenizer is not None and not hasattr(tokenizer, "tokenize"):
        raise UsageError(f"tokenizer is {shown(tokenizer)}; it must have the methods of LlamaTokenizer")
    if given["attention_type"] not in ATTENTION:
        raise UsageError(f"attention_type is {shown(given['attention_type'])}; it can be {ATTENTION}")
    overrides = given["kv_overrides"] or {}
    if not isinstance(overrides, Mapping):
        raise UsageError(f"kv_overrides is {shown(overrides)}; it must map keys to values")
    for key, value in overrides.items():
        if not isinstance(value, bool | int | float | str):
            raise UsageError(f"kv_overrides: Unknown value type for {key}: {shown(value)}")


def idle(given: Mapping[str, Any]) -> list[str]:
    """The options that somebody chose and that change nothing here."""
    return [name for name, default in IDLE.items() if given[name] != default]


def is_causal(attention_type: int, own: bool) -> bool:
    """Whether tokens see earlier ones alone, where the model says `own`."""
    return own if attention_type == -1 else attention_type == 0


def cache_type(value: int | str | None) -> str:
    """The name of a KV cache's type: from a name, a ggml type id, or None for f16."""
    if isinstance(value, int):
        try:
            return GGMLType(value).name.lower()
        except ValueError:
            raise UsageError(f"{value} is no ggml type id; 0 is f32, 1 f16, 8 q8_0, 30 bf16") from None
    return value or "f16"


def rope_overrides(
    path: str | Path,
    scaling_type: int | None,
    freq_base: float,
    freq_scale: float,
    ext_factor: float,
    attn_factor: float,
    beta_fast: float,
    beta_slow: float,
    orig_ctx: int,
) -> dict[str, Any]:
    """Metadata that says what these say; those at their default leave the model's own."""
    if scaling_type is not None and scaling_type != -1 and scaling_type not in SCALING_TYPES:
        raise UsageError(f"rope_scaling_type is {scaling_type}; it can be {SCALING_TYPES}")
    if freq_scale < 0:
        raise UsageError(f"rope_freq_scale is {freq_scale}; it must be above 0, or 0 for the model's own")
    params = RopeParams(
        scaling_type=SCALING_TYPES.get(-1 if scaling_type is None else scaling_type),
        freq_base=freq_base or None,
        freq_scale=freq_scale or None,
        yarn_orig_ctx=orig_ctx or None,
        yarn_ext_factor=ext_factor if ext_factor >= 0 else None,
        yarn_attn_factor=attn_factor if attn_factor != 1.0 else None,
        yarn_beta_fast=beta_fast if beta_fast != 32.0 else None,
        yarn_beta_slow=beta_slow if beta_slow != 1.0 else None,
    )
    return params.overrides(path)


def metadata_as_text(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Key/values as llama.cpp shows them: no arrays, floats with six decimals."""
    return {key: as_text(value) for key, value in metadata.items() if isinstance(value, (str, bool, int, float))}


def as_text(value: str | bool | int | float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:f}" if isinstance(value, float) else str(value)


def n_embd_of(metadata: Mapping[str, Any]) -> int:
    """Of a file that may hold a vocabulary only; 0 where it does not say."""
    return int(metadata.get(f"{metadata.get('general.architecture')}.embedding_length", 0))
