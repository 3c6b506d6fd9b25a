"""Hunyuan 3: Qwen 3's attention, experts beside a shared one behind dense layers."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import HeadNorms


class HyV3(HeadNorms, ExpertTransformer):
    arch = "hy_v3"
    hf_names = ("HYV3ForCausalLM",)
    is_neox = True
    gating = "sigmoid"
    has_ffn_scales = True
    has_expert_scales = True

    def is_dense(self, i: int) -> bool:
        return not self.w.layer(i).has("ffn_gate_inp")

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        if w.has("ffn_gate_inp"):
            w.pass_over("ffn_gate.*", "ffn_up.*", "ffn_down.*")
        return super().feed_forward(x, w, i)
