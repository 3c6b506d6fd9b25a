"""Granite with windows: sinks, and a list of the layers that turn their heads."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.attention import Attention
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.blocks.mixture import mixture, read_routing
from llamakit.core.models.granite import Granite
from llamakit.core.models.rope_settings import layers_that_turn
from llamakit.core.models.sliding_window import SlidingWindow
from llamakit.core.models.tensors import Tensors


class GraniteSwa(SlidingWindow, Granite):
    arch = "granite_swa"
    hf_names = ("GraniteSwaForCausalLM",)
    window_period = 1

    def read_settings(self) -> None:
        super().read_settings()
        n_block = len(self.hp.heads)
        self.turns = layers_that_turn(self.meta, [True] * n_block)

    def rotation_of(self, i: int) -> Rotation | None:
        return self.rotation if self.turns[i] else None

    def attend(self, q: Node, k: Node, v: Node, w: Tensors, i: int) -> Node:
        sinks = w("attn_sinks", self.hp.heads[i])
        return Attention(q, k, v, self.hp.head_dim, i, self.hp.scale, self.window_of(i), sinks=sinks)

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        if not self.hp.n_expert:
            return feed_forward.gated(x, w, self.hp.ffs[i], self.activation)
        chosen = mixture(x, w, read_routing(self.meta, self.hp, is_normed=True))
        n_shared = self.meta.int("expert_shared_feed_forward_length", 0, min=0)
        if not n_shared:
            return chosen
        return chosen + feed_forward.gated_of_one(x, w, n_shared, self.activation, suffix="_shexp")
