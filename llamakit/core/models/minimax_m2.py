"""MiniMax M2: q and k normed as whole rows, a part of each head turns, experts by sigmoid."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.tensors import Tensors


class MiniMaxM2(ExpertTransformer):
    arch = "minimax-m2"
    hf_names = ("MiniMaxM2ForCausalLM",)
    is_neox = True
    is_normed = True
    gating = "sigmoid"
    has_shared = False

    def heads(self, q: Node, k: Node, w: Tensors, i: int) -> tuple[Node, Node]:
        return super().heads(self.norm(q, w, "attn_q_norm"), self.norm(k, w, "attn_k_norm"), w, i)
