"""Phi 3, 3.5 and 4: gate and up in one matrix, factors of the rotation for long contexts."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class Phi3(Transformer):
    arch = "phi3"
    hf_names = ("Phi3ForCausalLM",)
    is_neox = True

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        return feed_forward.gated_of_one(x, w, self.hp.ffs[i], self.activation)
