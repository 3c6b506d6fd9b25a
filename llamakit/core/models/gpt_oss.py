"""GPT-OSS: sinks, every other layer with a window, biases everywhere, experts with limits."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.attention import Attention
from llamakit.core.models.blocks.mixture import mixture, read_routing
from llamakit.core.models.sliding_window import SlidingWindow
from llamakit.core.models.tensors import Tensors

LIMIT = 7.0  # of gates and ups, unless the file has another


class GptOss(SlidingWindow):
    arch = "gpt-oss"
    hf_names = ("GptOssForCausalLM",)
    is_neox = True
    window_period = 2

    def read_settings(self) -> None:
        super().read_settings()
        self.limit = self.meta.section("llamakit").float("swiglu_limit", LIMIT, above=0)

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        x = x + self.attention(self.norm(x, w, "attn_norm"), w, i)
        return x + self.feed_forward(self.norm(x, w, "post_attention_norm"), w, i)

    def attend(self, q: Node, k: Node, v: Node, w: Tensors, i: int) -> Node:
        sinks = w("attn_sinks", self.hp.heads[i])
        return Attention(q, k, v, self.hp.head_dim, i, self.hp.scale, self.window_of(i), sinks=sinks)

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        routing = read_routing(
            self.meta, self.hp, gating="softmax_chosen", is_normed=False, activation="swiglu_oai", limit=self.limit
        )
        return mixture(x, w, routing)
