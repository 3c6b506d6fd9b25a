"""ARWKV 7: Qwen 2 with RWKV 7's linear attention in its layers, with or without gate and norm of heads."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.rwkv7 import Rwkv7
from llamakit.core.models.tensors import Tensors


class ARwkv7(Rwkv7):
    arch = "arwkv7"
    hf_names = ("RwkvHybridForCausalLM",)
    has_layer_norm = False

    def embed(self) -> Node:
        return super(Rwkv7, self).embed()

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        return feed_forward.gated(self.norm(x, w, "ffn_norm"), w, self.hp.ffs[i])
