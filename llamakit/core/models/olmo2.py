"""OLMo 2 and 3: norms behind each part in place of before it, q and k normed as whole rows."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.sliding_window import SlidingWindow
from llamakit.core.models.tensors import Tensors


class Olmo2(SlidingWindow):
    arch = "olmo2"
    hf_names = ("Olmo2ForCausalLM", "Olmo3ForCausalLM")
    is_neox = True
    window_period = 4
    has_scaled_windows = False

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        x = x + self.norm(self.attention(x, w, i), w, "post_attention_norm")
        return x + self.norm(self.feed_forward(x, w, i), w, "post_ffw_norm")

    def heads(self, q: Node, k: Node, w: Tensors, i: int) -> tuple[Node, Node]:
        return super().heads(self.norm(q, w, "attn_q_norm"), self.norm(k, w, "attn_k_norm"), w, i)
