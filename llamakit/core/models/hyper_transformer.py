"""Transformers whose layers stand between several residual streams: hyper-connections."""

from __future__ import annotations

from llamakit.core.graph.ops import Node, SelectRows
from llamakit.core.models.blocks import hyper
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class HyperTransformer(Transformer):
    """A subclass reads its `streams`; the head joins them with learned shares."""

    streams: hyper.Hyper

    def layers(self, x: Node) -> Node:
        return super().layers(hyper.begin(x, self.streams.n))

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        return hyper.layer(
            x, w, self.streams,
            lambda y: self.attention(self.norm(y, w, "attn_norm"), w, i),
            lambda y: self.feed_forward(self.norm(y, w, "ffn_norm"), w, i),
        )  # fmt: skip

    def head(self, x: Node) -> Node:
        joined = hyper.joined(SelectRows(x), self.w, "output_hc", self.streams)
        return self.w.linear("output", self.norm(joined, self.w, self.last_norm), self.n_vocab)
