"""Pangu Embedded: Qwen 2 with a bias on the output projection."""

from __future__ import annotations

from llamakit.core.models.transformer import Transformer


class PanguEmbedded(Transformer):
    arch = "pangu-embedded"
    hf_names = ("PanguEmbeddedForCausalLM",)
    is_neox = True

    def read_settings(self) -> None:
        self.w.pass_over("rope_freqs.weight")
