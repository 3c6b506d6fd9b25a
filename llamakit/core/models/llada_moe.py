"""LLaDA with experts, a diffusion model: every token sees all of its batch."""

from __future__ import annotations

from llamakit.core.models.qwen3moe import Qwen3Moe


class LladaMoe(Qwen3Moe):
    arch = "llada-moe"
    hf_names = ("LLaDAMoEModelLM",)
    is_normed = False
    has_expert_scales = False
    is_causal = False
