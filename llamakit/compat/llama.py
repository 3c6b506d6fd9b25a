"""`Llama` as programs of several years call it."""

from __future__ import annotations

import warnings
from typing import Any

from llamakit.api.llama import Llama as OurLlama

# Arguments that llama-cpp-python once had, or passes on to a GPU; what they chose is no longer to choose.
GONE = {
    "n_parts", "f16_kv", "n_gqa", "rms_norm_eps", "mul_mat_q", "low_vram", "embeddings_only", "rpc_servers",
    "n_seq_max", "kv_unified", "offload_kqv", "logits_file",
}  # fmt: skip


class Llama(OurLlama):
    """Arguments that are gone are passed over, unknown ones with a warning, as llama-cpp-python does."""

    def __init__(self, model_path: Any, **options: Any) -> None:
        import inspect

        known = inspect.signature(OurLlama.__init__).parameters
        unknown = [name for name in options if name not in known]
        for name in unknown:
            if name not in GONE:
                warnings.warn(f"llamakit has no option {name}; it is passed over", stacklevel=2)
            del options[name]
        super().__init__(model_path, **options)
