"""XVERSE, dense: Llama in all but name."""

from __future__ import annotations

from llamakit.core.models.transformer import Transformer


class Xverse(Transformer):
    arch = "xverse"
    hf_names = ("XverseForCausalLM",)
