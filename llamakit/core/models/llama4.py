"""Llama 4: chunks of context in three layers of four, the fourth without rotation; experts of which one is taken."""

from __future__ import annotations

from llamakit.core.graph.ops import Node, RmsNorm, Tempered
from llamakit.core.graph.ops.attention import Attention
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.blocks.mixture import mixture, read_routing
from llamakit.core.models.rope_settings import layers_that_turn
from llamakit.core.models.sliding_window import SlidingWindow
from llamakit.core.models.tensors import Tensors

CHUNK, PERIOD = 8192, 4
GROWTH = 0.1  # of queries of layers that do not turn
EXPERTS_OF_MAVERICK = 128


class Llama4(SlidingWindow):
    arch = "llama4"
    hf_names = ("Llama4ForCausalLM", "Llama4ForConditionalGeneration")
    window_period = PERIOD
    default_window = CHUNK

    def read_settings(self) -> None:
        super().read_settings()
        meta, n_block = self.meta, len(self.hp.heads)
        self.step = meta.int("interleave_moe_layer_step", 1, min=0)
        self.turns = layers_that_turn(meta, [not self.window or (i + 1) % PERIOD != 0 for i in range(n_block)])
        self.length = meta.int("attention.temperature_length", 0, min=0)
        self.growth = meta.float("attention.temperature_scale", GROWTH) if self.length else GROWTH
        self.has_head_norms = meta.section("llamakit").bool("has_head_norms", self.hp.n_expert != EXPERTS_OF_MAVERICK)

    def local_rotation_for(self, n_ctx: int) -> Rotation:
        return self.rotation

    def heads(self, q: Node, k: Node, w: Tensors, i: int) -> tuple[Node, Node]:
        if not self.turns[i]:
            return Tempered(q, self.growth, self.length or CHUNK, 1), k
        q, k = super().heads(q, k, w, i)
        if not self.has_head_norms:
            return q, k
        eps, dim = self.hp.eps, self.hp.head_dim
        return RmsNorm(q, None, eps, n=dim), RmsNorm(k, None, eps, n=dim)

    def attend(self, q: Node, k: Node, v: Node, w: Tensors, i: int) -> Node:
        return Attention(q, k, v, self.hp.head_dim, i, self.hp.scale, self.window_of(i), is_chunked=True)

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        is_listed = w.has("ffn_gate") or w.has("ffn_gate_inp")
        if not w.has("ffn_gate_inp") if is_listed else not self.step or (i + 1) % self.step:
            return super().feed_forward(x, w, i)
        routing = read_routing(self.meta, self.hp, gating="sigmoid", is_normed=False, is_share_first=True)
        shared = feed_forward.gated(x, w, self.hp.n_ff_expert, self.activation, suffix="_shexp")
        return mixture(x, w, routing) + shared
