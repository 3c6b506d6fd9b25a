"""EXAONE 3: what Qwen 2 is, without the biases."""

from __future__ import annotations

from llamakit.core.models.qwen2 import Qwen2


class Exaone(Qwen2):
    arch = "exaone"
    hf_names = ("ExaoneForCausalLM",)
