"""`Llama` as programs of several years call it."""

from __future__ import annotations

import inspect
import warnings
from types import SimpleNamespace
from typing import Any

from llamakit.api.llama import Llama as OurLlama

# Arguments that llama-cpp-python once had, or passes on to a GPU; what they chose is no longer to choose.
GONE = {
    "n_parts", "f16_kv", "n_gqa", "rms_norm_eps", "mul_mat_q", "low_vram", "embeddings_only", "rpc_servers",
    "n_seq_max", "kv_unified", "offload_kqv", "logits_file", "device",
}  # fmt: skip


class Llama(OurLlama):
    """Arguments that are gone are passed over, unknown ones with a warning, as llama-cpp-python does.

    `context_params` and `model_params` tell what programs look up in llama.cpp's structures of these names.
    """

    def __init__(self, model_path: Any, **options: Any) -> None:
        known = inspect.signature(OurLlama.__init__).parameters
        unknown = [name for name in options if name not in known]
        for name in unknown:
            if name not in GONE:
                warnings.warn(f"llamakit has no option {name}; it is passed over", stacklevel=2)
            del options[name]
        super().__init__(model_path, **options)
        arguments = inspect.signature(OurLlama.__init__).bind(self, model_path, **options)
        arguments.apply_defaults()
        given = arguments.arguments
        self.context_params = SimpleNamespace(
            n_ctx=self.n_ctx(), n_batch=self.n_batch, n_ubatch=given["n_ubatch"], n_seq_max=given["n_parallel"],
            embeddings=self.embedding, pooling_type=given["pooling_type"], rope_freq_base=given["rope_freq_base"],
            rope_freq_scale=given["rope_freq_scale"], offload_kqv=given["offload_kqv"],
        )  # fmt: skip
        self._ctx = SimpleNamespace(ctx=self._shared or self.vocab, n_ctx=self.n_ctx, kv_cache_clear=self.reset)
        self.model_params = SimpleNamespace(
            n_gpu_layers=given["n_gpu_layers"], vocab_only=given["vocab_only"], use_mmap=given["use_mmap"]
        )

    @property
    def _is_recurrent(self) -> bool:
        """Do all layers remember what they saw in states of their own?"""
        return self._has_states and not self.model.decoder.cache_layers()

    @property
    def _is_hybrid(self) -> bool:
        """Do some layers remember, beside others with a KV cache?"""
        return self._has_states and bool(self.model.decoder.cache_layers())

    @property
    def _has_states(self) -> bool:
        return self._shared is not None and bool(self.model.decoder.states())
