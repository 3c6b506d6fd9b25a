"""Refact: Llama with distances in place of positions."""

from __future__ import annotations

from llamakit.core.graph.ops import Activation, Node
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.llama import Llama
from llamakit.core.models.tensors import Tensors


class Refact(Llama):
    arch = "refact"
    hf_names = ("GPTRefactForCausalLM",)
    has_ffn_scales = False
    max_bias = 8.0

    def read_settings(self) -> None:
        self.w.pass_over("blk.*.attn_output.bias", "blk.*.ffn_*.bias")
        self.w.pass_over("blk.*.ffn_*_exps.*", "blk.*.ffn_gate_inp.weight")

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        """There are no models with experts; llama.cpp leaves theirs out."""
        return Activation(x, "silu") if self.hp.n_expert else super().feed_forward(x, w, i)

    def rotation_of(self, i: int) -> Rotation | None:
        return None
