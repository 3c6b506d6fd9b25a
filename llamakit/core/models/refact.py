"""Refact: Llama with distances in place of positions."""

from __future__ import annotations

from llamakit.core.graph.rotation import Rotation
from llamakit.core.models.llama import Llama


class Refact(Llama):
    arch = "refact"
    hf_names = ("GPTRefactForCausalLM",)
    has_ffn_scales = False
    max_bias = 8.0

    def read_settings(self) -> None:
        self.w.pass_over("blk.*.attn_output.bias", "blk.*.ffn_gate.bias", "blk.*.ffn_up.bias", "blk.*.ffn_down.bias")

    def rotation_of(self, i: int) -> Rotation | None:
        return None
