"""The encoder of T5: biases by distance in place of positions, scores that nothing scales."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.attention import Attention
from llamakit.core.graph.ops.buckets import Buckets
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.encoder import Encoder
from llamakit.core.models.tensors import Tensors


class T5Encoder(Encoder):
    arch = "t5encoder"
    hf_names: ClassVar[tuple[str, ...]] = ("T5EncoderModel",)

    def read_settings(self) -> None:
        self.n_buckets = self.meta.int("attention.relative_buckets_count", min=2, max=1 << 16)
        self.most = self.meta.int("attention.relative_max_distance", 128, min=1)

    def begin(self, n_ctx: int) -> None:
        """Nothing depends on it."""

    def layers(self, x: Node) -> Node:
        return self.encoded(x)

    def encoded(self, x: Node) -> Node:
        """The encoder's states of all tokens."""
        for i in range(self.hp.n_layer):
            w = self.w.under("enc.").layer(i)
            x = x + self.own(self.norm(x, w, "attn_norm"), w, "enc", i, i)
            x = x + self.feed_forward(self.norm(x, w, "ffn_norm"), w, i)
        return self.norm(x, self.w, "enc.output_norm")

    def last(self, x: Node) -> Node:
        return x

    def own(self, x: Node, w: Tensors, side: str, i: int, layer: int) -> Node:
        """Attention of encoder or decoder to its own tokens; only the first layer has biases, but in UMT5 all have."""
        hp, is_decoder = self.hp, side == "dec"
        q, k, v = (w.linear(f"attn_{name}", x, n) for name, n in zip("qkv", self.widths(), strict=True))
        home = i if w.has("attn_rel_b") else 0
        biases = self.w.under(f"{side}.").layer(home)("attn_rel_b", self.n_buckets, hp.n_head)
        attended = Attention(
            q, k, v, hp.head_dim, layer, 1.0, is_causal=is_decoder, distances=biases,
            buckets=Buckets(self.n_buckets, self.most, not is_decoder), is_behind_source=is_decoder,
        )  # fmt: skip
        return w.linear("attn_o", attended, hp.n_embd)

    def widths(self) -> tuple[int, int, int]:
        """Of queries, keys and values."""
        hp = self.hp
        return hp.n_head * hp.head_dim, hp.n_head_kv * hp.head_dim, hp.n_head_kv * hp.head_dim_v

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        """T5 1.1 and Flan-T5 have a gate, the first T5 has none."""
        if w.has("ffn_gate"):
            return feed_forward.gated(x, w, self.hp.n_ff, feed_forward.read_activation(self.meta, "gelu"))
        return feed_forward.plain(x, w, self.hp.n_ff, feed_forward.read_activation(self.meta, "relu"))
