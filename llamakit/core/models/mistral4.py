"""Mistral 4: DeepSeek V2's layers."""

from __future__ import annotations

from llamakit.core.models.deepseek2 import Deepseek2


class Mistral4(Deepseek2):
    arch = "mistral4"
    hf_names = ("Mistral4ForCausalLM",)
    has_equal_scales = False
