"""StarCoder 2: norms and matrices with biases, rotation, feed-forward without gate."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class StarCoder2(Transformer):
    arch = "starcoder2"
    hf_names: ClassVar[tuple[str, ...]] = ("Starcoder2ForCausalLM",)
    activation = "gelu"
    is_neox = True
    has_layer_norm = True

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        return feed_forward.plain(x, w, self.hp.ffs[i], self.activation)
