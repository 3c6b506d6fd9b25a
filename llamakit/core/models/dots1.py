"""dots.llm1: Qwen 3's attention, experts and shared experts behind dense layers."""

from __future__ import annotations

from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.transformer import HeadNorms


class Dots1(HeadNorms, ExpertTransformer):
    arch = "dots1"
    hf_names = ("Dots1ForCausalLM",)
    is_neox = True
