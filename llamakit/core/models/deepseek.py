"""DeepSeek MoE 16B: Llama with experts and shared experts."""

from __future__ import annotations

from llamakit.core.models.expert_transformer import ExpertTransformer


class Deepseek(ExpertTransformer):
    arch = "deepseek"
    hf_names = ("DeepseekForCausalLM",)
    is_normed = False
