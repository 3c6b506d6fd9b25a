"""llama-cpp-python's options in this engine's terms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llamakit.core.engine.rope_overrides import SCALING_TYPES as NAMES
from llamakit.core.engine.rope_overrides import RopeParams
from llamakit.core.gguf.types import GGMLType
from llamakit.errors import UsageError

SCALING_TYPES = dict(enumerate(NAMES))  # numbered as in llama.cpp


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
