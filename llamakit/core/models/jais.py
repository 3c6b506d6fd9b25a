"""Jais: distances in place of positions, scores divided by the width of a head, SwiGLU with biases."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.attention import Attention
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class Jais(Transformer):
    arch = "jais"
    hf_names = ("JAISLMHeadModel",)
    has_layer_norm = True

    def read_settings(self) -> None:
        self.max_bias = self.meta.float("attention.max_alibi_bias", 0.0, min=0)

    def rotation_of(self, i: int) -> Rotation | None:
        return None

    def attend(self, q: Node, k: Node, v: Node, w: Tensors, i: int) -> Node:
        return Attention(q, k, v, self.hp.head_dim, i, 1 / self.hp.head_dim, max_bias=self.max_bias)
