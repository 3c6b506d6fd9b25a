"""Qwen 1.5, 2 and 2.5, dense: Llama with halves turned instead of neighbours, and biases on q, k, v."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks import unscaled_feed_forward
from llamakit.core.models.llama import Llama
from llamakit.core.models.tensors import Tensors


class Qwen2(Llama):
    arch = "qwen2"
    hf_names = ("Qwen2ForCausalLM",)
    is_neox = True

    def feed_forward(self, x: Node, w: Tensors) -> Node:
        return unscaled_feed_forward(x, w)
