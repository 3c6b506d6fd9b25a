"""`Llama` as programs of several years call it."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable
from typing import Any

from llamakit.api.llama import Llama as OurLlama
from llamakit.api.tokens import Floats, Tokens
from llamakit.compat.batches import LlamaBatch
from llamakit.compat.of_llama import ContextOfLlama, ModelOfLlama
from llamakit.compat.params import ContextParams, ModelParams
from llamakit.core.engine.threads import n_physical_cores
from llamakit.errors import GGUFError, LlamakitError, ModelError, UsageError

# Arguments that llama-cpp-python once had, or passes on to a GPU; what they chose is no longer to choose.
GONE = {
    "n_parts", "f16_kv", "n_gqa", "rms_norm_eps", "mul_mat_q", "low_vram", "embeddings_only", "rpc_servers",
    "n_seq_max", "kv_unified", "offload_kqv", "logits_file", "device",
}  # fmt: skip
CONTEXT_PARAMS = ("n_ubatch", "pooling_type", "rope_freq_base", "rope_freq_scale", "offload_kqv")
MODEL_PARAMS = ("n_gpu_layers", "split_mode", "main_gpu", "tensor_split", "vocab_only", "use_mmap", "use_mlock")
MOST_DEVICES = 16  # of llama.cpp
SHOWN = ("lora_base", "lora_scale", "lora_path", "numa", "tensor_split", "kv_overrides")


def shown_with_others(function: Callable[..., Any]) -> inspect.Signature:
    """Its parameters, and any other by name."""
    signature = inspect.signature(function)
    others = inspect.Parameter("options", inspect.Parameter.VAR_KEYWORD, annotation="Any")
    return signature.replace(parameters=[*signature.parameters.values(), others])


class NotLoaded(LlamakitError, ValueError):
    """A model that is missing or cannot be used: programs written for llama-cpp-python catch a ValueError."""

    exit_code = 2


class Llama(OurLlama):
    """Arguments that are gone are passed over, unknown ones with a warning, as llama-cpp-python does.

    Raises NotLoaded, a ValueError too, for a model that cannot be opened.

    `context_params` and `model_params` tell what programs look up in llama.cpp's structures of these names; `_model`,
    `_ctx`, `_batch` and the pointer `ctx` are for those that call llama.cpp's functions.
    """

    def __init__(self, model_path: Any, **options: Any) -> None:
        known = inspect.signature(OurLlama.__init__).parameters
        unknown = [name for name in options if name not in known]
        for name in unknown:
            if name not in GONE:
                warnings.warn(f"llamakit has no option {name}; it is passed over", stacklevel=2)
            del options[name]
        if not os.path.exists(model_path):
            raise NotLoaded(f"Model path does not exist: {model_path}")
        if len(options.get("tensor_split") or ()) > MOST_DEVICES:
            raise UsageError(f"tensor_split: Attempt to split tensors over more than {MOST_DEVICES} devices")
        try:
            super().__init__(model_path, **options)
        except (GGUFError, ModelError) as error:
            raise NotLoaded(f"Failed to load model from file: {error}") from error
        arguments = inspect.signature(OurLlama.__init__).bind(self, model_path, **options)
        arguments.apply_defaults()
        given = arguments.arguments
        self.context_params = ContextParams(
            n_ctx=self.n_ctx(), n_batch=self.n_batch, embeddings=self.embedding, n_seq_max=given["n_parallel"],
            **{name: given[name] for name in CONTEXT_PARAMS},
        )  # fmt: skip
        self.model_params = ModelParams(**{name: given[name] for name in MODEL_PARAMS})
        model = None if self._shared is None else self.model
        self._model = ModelOfLlama(self.model_path, model, self._vocab, self.model_params)
        self._ctx = ContextOfLlama(self._shared, self._model, self.context_params)
        self._batch = LlamaBatch(n_tokens=self.n_batch, embd=0, n_seq_max=1)
        self.n_threads = given["n_threads"] or n_physical_cores()
        self.n_threads_batch = given["n_threads_batch"] or self.n_threads
        for name in SHOWN:
            setattr(self, name, given[name])

    # What there is to choose, for those who look before they call.
    vars(__init__)["__signature__"] = shown_with_others(OurLlama.__init__)

    @property
    def ctx(self) -> int | None:
        """A pointer for the functions of llama.cpp."""
        return self._ctx.ctx

    @property
    def _input_ids(self) -> Tokens:
        return self.input_ids[: self.n_tokens]

    @property
    def _scores(self) -> Floats:
        return self.scores

    @property
    def _seed(self) -> int:
        return self.seed

    @property
    def _logits_all(self) -> bool:
        return self.logits_all

    @property
    def _token_eos(self) -> int:
        return self.token_eos()

    @property
    def _token_nl(self) -> int:
        return self.token_nl()

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
