"""Trinity (AFMoE): norms before and after each part, a gate on what is attended, experts behind dense layers."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.blocks.attention import sigmoid_gate
from llamakit.core.models.blocks.mixture import mixture, read_routing
from llamakit.core.models.rope_settings import layers_that_turn
from llamakit.core.models.sliding_window import SlidingWindow
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import HeadNorms


class Afmoe(HeadNorms, SlidingWindow):
    arch = "afmoe"
    hf_names = ("AfmoeForCausalLM",)
    is_neox = True
    window_period = 4

    def read_settings(self) -> None:
        super().read_settings()
        usual = [(i + 1) % self.window_period != 0 for i in range(len(self.hp.heads))]
        self.turns = layers_that_turn(self.meta, usual)

    def embed(self) -> Node:
        return super().embed() * (self.meta.float("embedding_scale", 0.0, min=0) or self.hp.n_embd**0.5)

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        attended = self.attention(self.norm(x, w, "attn_norm"), w, i)
        x = x + self.norm(attended, w, "post_attention_norm")
        return x + self.norm(self.feed_forward(self.norm(x, w, "ffn_norm"), w, i), w, "post_ffw_norm")

    def rotation_of(self, i: int) -> Rotation | None:
        return super().rotation_of(i) if self.turns[i] else None

    def gated(self, attended: Node, x: Node, w: Tensors, i: int) -> Node:
        return sigmoid_gate(attended, x, w, attended.width)

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        if i < self.meta.int("leading_dense_block_count", 0, min=0):
            return feed_forward.gated(x, w, self.hp.ffs[i], self.activation)
        routing = read_routing(self.meta, self.hp, gating="sigmoid")
        n_shared = self.meta.int("expert_shared_count", 0, min=0) * routing.n_ff
        chosen = mixture(x, w, routing)
        if not n_shared:
            return chosen
        return chosen + feed_forward.gated(x, w, n_shared, self.activation, suffix="_shexp")
