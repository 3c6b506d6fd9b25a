"""InternLM 2 and 2.5: Llama in all but name."""

from __future__ import annotations

from llamakit.core.models.transformer import Transformer


class InternLM2(Transformer):
    arch = "internlm2"
    hf_names = ("InternLM2ForCausalLM",)
