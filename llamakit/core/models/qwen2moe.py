"""Qwen 1.5 and 2 with experts: the shared expert has a gate."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks.mixture import gated_share
from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.tensors import Tensors


class Qwen2Moe(ExpertTransformer):
    arch = "qwen2moe"
    hf_names = ("Qwen2MoeForCausalLM",)
    is_neox = True
    is_normed = False
    shows_dense_layers = True

    def read_settings(self) -> None:
        super().read_settings()
        self.n_shared = self.n_shared or self.hp.n_ff

    def shared(self, x: Node, w: Tensors, i: int) -> Node:
        return gated_share(super().shared(x, w, i), x, w)
