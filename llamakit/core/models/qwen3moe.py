"""Qwen 3 with experts."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.transformer import HeadNorms


class Qwen3Moe(HeadNorms, ExpertTransformer):
    arch = "qwen3moe"
    hf_names: ClassVar[tuple[str, ...]] = ("Qwen3MoeForCausalLM",)
    is_neox = True
    is_normed = True
    shows_dense_layers = True
    has_expert_scales = True
    has_shared = False
