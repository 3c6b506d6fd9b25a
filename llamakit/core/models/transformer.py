"""Layers of attention and feed-forward, each behind a norm, each added to what came before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from llamakit.core.gguf.metadata import Metadata
from llamakit.core.graph.ops import Clamp, Node, Rope
from llamakit.core.graph.ops.attention import Attention
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.base import Decoder
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.blocks.attention import head_norm, qkv
from llamakit.core.models.blocks.layer_lists import layers_with_window
from llamakit.core.models.hparams import MOST_LAYERS
from llamakit.core.models.tensors import ModelFile, Tensors


class Transformer(Decoder):
    """Pre-norm, grouped-query attention, SwiGLU. A subclass replaces the parts that differ."""

    activation: str = "silu"
    activation_names: ClassVar[Mapping[str, str]] = {}  # what files of the architecture call otherwise
    has_ffn_scales: ClassVar[bool] = False  # see feed_forward.times
    max_bias: float = 0.0  # of ALiBi
    first_cache = 0  # the cache layer of layer 0

    def __init__(self, meta: Metadata, reader: ModelFile) -> None:
        self.activation = feed_forward.read_activation(meta, self.activation, self.activation_names)
        n_block = meta.int("block_count", min=1, max=MOST_LAYERS)
        self.window = meta.int("attention.sliding_window", 0, min=0)
        self.has_window = layers_with_window(meta, n_block)
        super().__init__(meta, reader)

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        x = x + self.attention(self.norm(x, w, "attn_norm"), w, i)
        return x + self.feed_forward(self.norm(x, w, "ffn_norm"), w, i)

    def attention(self, x: Node, w: Tensors, i: int) -> Node:
        """Projections, norms and rotation of heads, attention, output projection."""
        q, k, v = self.qkv(x, w, i)
        attended = self.attend(*self.heads(q, k, w, i), v, w, i)
        return w.linear("attn_output", self.gated(attended, x, w, i), self.hp.n_embd)

    def qkv(self, x: Node, w: Tensors, i: int) -> tuple[Node, Node, Node]:
        q, k, v = qkv(x, w, self.hp.of_layer(i))
        if clamp := self.meta.float("attention.clamp_kqv", 0.0):
            q, k, v = (Clamp(each, clamp) for each in (q, k, v))
        return q, k, v

    def heads(self, q: Node, k: Node, w: Tensors, i: int) -> tuple[Node, Node]:
        """What happens to queries and keys before they meet."""
        return self.turn(q, i), self.turn(k, i)

    def turn(self, x: Node, i: int) -> Node:
        rotation = self.rotation_of(i)
        return Rope(x, self.hp.head_dim, rotation) if rotation else x

    def rotation_of(self, i: int) -> Rotation | None:
        """The rotation of a layer's heads, or None."""
        return self.rotation

    def attend(self, q: Node, k: Node, v: Node, w: Tensors, i: int) -> Node:
        window = self.window_of(i)
        cached = self.first_cache + i
        return Attention(
            q, k, v, self.hp.head_dim, cached, self.hp.scale, window, max_bias=self.max_bias, is_causal=self.is_causal
        )  # fmt: skip

    def gated(self, attended: Node, x: Node, w: Tensors, i: int) -> Node:
        """What happens to the values before the output projection; x is what queries came from."""
        return attended

    def window_of(self, i: int) -> int:
        """How far a layer sees back; 0 is without end."""
        return self.window if self.has_window[i] else 0

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        return feed_forward.gated(x, w, self.hp.ffs[i], self.activation, has_scales=self.has_ffn_scales)


class HeadNorms(Transformer):
    """With a norm for all query heads and one for all key heads, before they turn; in some models only if there."""

    are_optional: ClassVar[bool] = False

    def heads(self, q: Node, k: Node, w: Tensors, i: int) -> tuple[Node, Node]:
        dim, eps = self.hp.head_dim, self.hp.eps
        if not self.are_optional or w.has("attn_q_norm"):
            q = head_norm(q, w, "attn_q_norm", dim, eps)
        if not self.are_optional or w.has("attn_k_norm"):
            k = head_norm(k, w, "attn_k_norm", dim, eps)
        return super().heads(q, k, w, i)
