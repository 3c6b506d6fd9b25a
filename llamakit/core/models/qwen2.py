"""Qwen 1.5, 2 and 2.5, dense: Llama with halves turned instead of neighbours, and biases on q, k, v."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.models.transformer import Transformer


class Qwen2(Transformer):
    arch = "qwen2"
    hf_names: ClassVar[tuple[str, ...]] = ("Qwen2ForCausalLM",)
    is_neox = True
