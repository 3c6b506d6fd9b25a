"""GLM 4 (2025): ChatGLM with norms behind each part too."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.chatglm import ChatGLM
from llamakit.core.models.rope_settings import has_sections
from llamakit.core.models.tensors import Tensors


class Glm4(ChatGLM):
    arch = "glm4"
    hf_names = ("Glm4ForCausalLM",)

    def read_settings(self) -> None:
        self.is_neox = has_sections(self.meta)

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        attended = self.attention(self.norm(x, w, "attn_norm"), w, i)
        x = x + self.norm(attended, w, "post_attention_norm")
        return x + self.norm(self.feed_forward(self.norm(x, w, "ffn_norm"), w, i), w, "post_ffw_norm")
