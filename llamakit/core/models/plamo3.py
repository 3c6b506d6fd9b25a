"""PLaMo 3: norms before and after each part, heads normed, seven layers with a window for one without."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.sliding_window import SlidingWindow
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import HeadNorms


class Plamo3(HeadNorms, SlidingWindow):
    arch = "plamo3"
    hf_names = ("Plamo3ForCausalLM",)
    is_neox = True
    window_period = 8
    has_scaled_windows = False

    def read_settings(self) -> None:
        super().read_settings()
        self.w.pass_over("blk.*.attn_qkv.scale")

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        attended = self.attention(self.norm(x, w, "attn_norm"), w, i)
        x = x + self.bare_norm(attended, w, "post_attention_norm")
        return x + self.bare_norm(self.feed_forward(self.norm(x, w, "ffn_norm"), w, i), w, "post_ffw_norm")

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        return feed_forward.gated_of_one(x, w, self.hp.ffs[i])
