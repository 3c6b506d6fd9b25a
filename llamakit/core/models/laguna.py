"""Laguna: heads normed, a gate by softplus for each head or each number, experts by sigmoid, windows by layer."""

from __future__ import annotations

from llamakit.core.graph.ops import Activation, Mul, Node
from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.sliding_window import SlidingWindow
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import HeadNorms


class Laguna(HeadNorms, ExpertTransformer, SlidingWindow):
    arch = "laguna"
    hf_names = ("LagunaForCausalLM",)
    is_neox = True
    gating = "sigmoid"
    window_period = 4
    is_dense_first = True
    has_scaled_windows = False

    def read_settings(self) -> None:
        super().read_settings()
        self.n_shared = self.n_shared or self.hp.n_ff_expert
        self.w.pass_over("output.scale")

    def gated(self, attended: Node, x: Node, w: Tensors, i: int) -> Node:
        name = w.full_name("attn_gate")
        is_by_head = name in self.reader and self.reader.tensor(name).shape[-1] == self.hp.heads[i]
        n = self.hp.heads[i] if is_by_head else attended.width
        return Mul(attended, Activation(w.matrix("attn_gate", n, x.width).unscaled(x), "softplus"))
