"""LLaDA, a diffusion model on Llama: every token sees all of its batch."""

from __future__ import annotations

from llamakit.core.models.transformer import Transformer


class Llada(Transformer):
    arch = "llada"
    hf_names = ("LLaDAModelLM",)
    is_causal = False

    def read_settings(self) -> None:
        self.w.pass_over("rope_freqs.weight", "blk.*.attn_output.bias", "blk.*.ffn_*.bias")
