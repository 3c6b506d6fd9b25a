"""Ling (Bailing MoE): Llama with experts and shared experts; scores are scaled by the dimensions that turn."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.attention import Attention
from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.tensors import Tensors


class BailingMoe(ExpertTransformer):
    arch = "bailingmoe"
    hf_names = ("BailingMoeForCausalLM",)

    def is_dense(self, i: int) -> bool:
        return False

    def attend(self, q: Node, k: Node, v: Node, w: Tensors, i: int) -> Node:
        return Attention(q, k, v, self.hp.head_dim, i, self.hp.n_rot**-0.5)
