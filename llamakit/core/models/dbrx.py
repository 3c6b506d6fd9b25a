"""DBRX: clamped q, k, v, norms without biases, experts in every layer."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.tensors import Tensors


class Dbrx(ExpertTransformer):
    arch = "dbrx"
    hf_names = ("DbrxForCausalLM",)
    is_neox = True
    has_layer_norm = True
    is_normed = True

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        x = x + self.attention(self.norm(x, w, "attn_norm"), w, i)
        return x + self.feed_forward(self.norm(x, w, "attn_output_norm"), w, i)
