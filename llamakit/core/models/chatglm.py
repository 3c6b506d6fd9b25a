"""ChatGLM 3, GLM 4 9B (2024): half of each head turns, gate and up in one matrix."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class ChatGLM(Transformer):
    arch = "chatglm"
    hf_names: ClassVar[tuple[str, ...]] = ("ChatGLMForConditionalGeneration", "ChatGLMModel", "GlmForCausalLM")

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        return feed_forward.gated_of_one(x, w, self.hp.ffs[i], self.activation)
