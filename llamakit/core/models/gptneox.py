"""GPT-NeoX, Pythia: attention and feed-forward side by side, or one after the other."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.starcoder2 import StarCoder2
from llamakit.core.models.tensors import Tensors


class GptNeoX(StarCoder2):
    arch = "gptneox"
    hf_names = ("GPTNeoXForCausalLM",)

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        if not self.meta.bool("use_parallel_residual", True):
            return super().layer(x, w, i)
        attended = self.attention(self.norm(x, w, "attn_norm"), w, i)
        return x + attended + self.feed_forward(self.norm(x, w, "ffn_norm"), w, i)
