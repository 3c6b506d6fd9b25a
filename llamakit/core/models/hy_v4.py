"""Hunyuan 4: latent attention with sinks and gates, experts, several residual streams.

Its indexer picks the keys to attend to in long contexts; here all of them are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from llamakit.core.graph.ops import Node, SelectRows, Weight
from llamakit.core.models.blocks import hyper
from llamakit.core.models.blocks.attention import sigmoid_gate
from llamakit.core.models.deepseek2 import Deepseek2
from llamakit.core.models.tensors import Tensors


class HyV4(Deepseek2):
    arch = "hy_v4"
    hf_names: ClassVar[tuple[str, ...]] = ("HYV4ForCausalLM",)
    gating = "sigmoid"
    clamped = "swiglu_clamp"

    def read_settings(self) -> None:
        super().read_settings()
        streams = hyper.read_hyper(self.meta, self.hp.eps)
        magnitude = self.meta.float("hyper_connection.magnitude")
        self.streams = replace(streams, n_rounds=0, magnitude=magnitude, write_eps=streams.eps)
        self.w.pass_over("*.scale", "*.input_scale", "blk.*.indexer.*")

    def layers(self, x: Node) -> Node:
        return super().layers(hyper.begin(x, self.streams.n))

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        return hyper.layer(
            x, w, self.streams,
            lambda y: self.attention(self.norm(y, w, "attn_norm"), w, i),
            lambda y: self.feed_forward(self.norm(y, w, "ffn_norm"), w, i),
        )  # fmt: skip

    def sinks(self, w: Tensors) -> Weight | None:
        return w("attn_sinks", self.hp.n_head)

    def gated(self, attended: Node, x: Node, w: Tensors, i: int) -> Node:
        return sigmoid_gate(attended, x, w, attended.width)

    def head(self, x: Node) -> Node:
        joined = hyper.joined(SelectRows(x), self.w, "output_hc", self.streams)
        return self.w.linear("output", self.norm(joined, self.w, self.last_norm), self.n_vocab)
