"""RND1, a diffusion model on Qwen 3 with experts: every token sees all of its batch."""

from __future__ import annotations

from llamakit.core.models.qwen3moe import Qwen3Moe


class Rnd1(Qwen3Moe):
    arch = "rnd1"
    hf_names = ("RND1",)
    has_expert_scales = False
    is_causal = False
