"""InternLM 2 and 2.5: Llama in all but name."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks import unscaled_feed_forward
from llamakit.core.models.llama import Llama
from llamakit.core.models.tensors import Tensors


class InternLM2(Llama):
    arch = "internlm2"
    hf_names = ("InternLM2ForCausalLM",)

    def feed_forward(self, x: Node, w: Tensors) -> Node:
        return unscaled_feed_forward(x, w)
