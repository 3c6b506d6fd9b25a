"""llama.cpp's structures of parameters, as far as a CPU has a use for them; programs set their fields by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llamakit.core.engine.threads import n_physical_cores
from llamakit.core.gguf.types import GGMLType

UNSPECIFIED = -1
OVERRIDES = ("val_i64", "val_f64", "val_bool", "val_str")  # by LLAMA_KV_OVERRIDE_TYPE_*


def overrides_of(given: Any) -> dict[str, Any]:
    """kv_overrides by key: of a mapping, or of an array of llama_model_kv_override that one without a key ends."""
    if isinstance(given, Mapping):
        return dict(given)
    found: dict[str, Any] = {}
    for each in given or ():
        if not each.key:
            break
        value = getattr(each.value, OVERRIDES[each.tag])
        found[each.key.decode()] = value.decode() if isinstance(value, bytes) else value
    return found


@dataclass
class ModelParams:
    """`llama_model_params`. Only vocab_only, use_mmap and kv_overrides (see `overrides_of`) change anything."""

    n_gpu_layers: int = 0
    split_mode: int = 1
    main_gpu: int = 0
    tensor_split: Any = None
    kv_overrides: Any = field(default_factory=dict)
    load_mode: int = UNSPECIFIED
    vocab_only: bool = False
    use_mmap: bool = True
    use_mlock: bool = False
    check_tensors: bool = False


@dataclass
class ContextParams:
    """`llama_context_params`. Types are GGML's numbers; an n_ctx of 0 is the trained length."""

    n_ctx: int = 512
    n_batch: int = 2048
    n_ubatch: int = 512
    n_seq_max: int = 1
    n_threads: int = field(default_factory=n_physical_cores)
    n_threads_batch: int = 0  # as n_threads
    rope_scaling_type: int = UNSPECIFIED
    pooling_type: int = UNSPECIFIED
    attention_type: int = UNSPECIFIED
    flash_attn_type: int = UNSPECIFIED
    rope_freq_base: float = 0.0
    rope_freq_scale: float = 0.0
    yarn_ext_factor: float = -1.0
    yarn_attn_factor: float = -1.0
    yarn_beta_fast: float = -1.0
    yarn_beta_slow: float = -1.0
    yarn_orig_ctx: int = 0
    type_k: int = GGMLType.F16
    type_v: int = GGMLType.F16
    logits_all: bool = False
    embeddings: bool = False
    offload_kqv: bool = True
    no_perf: bool = True
    op_offload: bool = True
    swa_full: bool = True
    kv_unified: bool = False
