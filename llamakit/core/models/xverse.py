"""XVERSE, dense: what InternLM 2 is."""

from __future__ import annotations

from llamakit.core.models.internlm2 import InternLM2


class Xverse(InternLM2):
    arch = "xverse"
    hf_names = ("XverseForCausalLM",)
