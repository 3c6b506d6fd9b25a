"""Qwen 3 VL with experts, text: Qwen 3; the sections of its rotation are all one position in text."""

from __future__ import annotations

from llamakit.core.models.qwen3moe import Qwen3Moe


class Qwen3VLMoe(Qwen3Moe):
    arch = "qwen3vlmoe"
    hf_names = ("Qwen3VLMoeForConditionalGeneration",)
    has_expert_scales = False
