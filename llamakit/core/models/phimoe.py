"""Phi 3.5 MoE: norms by the root mean square with biases, experts in every layer."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks.mixture import mixture, read_routing
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class PhiMoe(Transformer):
    arch = "phimoe"
    hf_names = ("PhiMoEForCausalLM",)
    is_neox = True

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        return mixture(x, w, read_routing(self.meta, self.hp, is_normed=True))
