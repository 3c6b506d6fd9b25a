"""Spark 2.5: a gate for each head, GELU, windows in the layers that the metadata lists."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks.attention import sigmoid_gate
from llamakit.core.models.sliding_window import SlidingWindow
from llamakit.core.models.tensors import Tensors


class Spark25(SlidingWindow):
    arch = "spark2_5"
    hf_names = ("Spark25ForCausalLM",)
    is_neox = True
    activation = "gelu"
    window_period = 1

    def gated(self, attended: Node, x: Node, w: Tensors, i: int) -> Node:
        return sigmoid_gate(attended, x, w, self.hp.heads[i])

    def head(self, x: Node) -> Node:
        self.w.pass_over("output.scale")
        return super().head(x)
