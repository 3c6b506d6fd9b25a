"""OLMo 1: norms without weights."""

from __future__ import annotations

from llamakit.core.graph.ops import LayerNorm, Node
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class Olmo(Transformer):
    arch = "olmo"
    hf_names = ("OlmoForCausalLM",)
    has_layer_norm = True

    def norm(self, x: Node, w: Tensors, name: str) -> Node:
        return LayerNorm(x, None, self.hp.eps)
