"""StarCoder 1: GPT-2 whose query heads share one head of keys and values."""

from __future__ import annotations

from llamakit.core.models.gpt2 import Gpt2


class StarCoder(Gpt2):
    arch = "starcoder"
    hf_names = ("GPTBigCodeForCausalLM",)
