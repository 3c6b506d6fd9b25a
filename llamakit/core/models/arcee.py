"""Arcee: a Llama whose feed-forward has no gate, and squares what is positive."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class Arcee(Transformer):
    arch = "arcee"
    hf_names = ("ArceeForCausalLM",)
    activation = "relu2"

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        return feed_forward.plain(x, w, self.hp.ffs[i], self.activation)
