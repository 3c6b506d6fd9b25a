"""Encoders: every token sees its whole text, and what comes out are states, not logits."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops import Embed, Node, Positions, SelectRows
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.hparams import LAYER_EPS, RMS_EPS
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class Encoder(Transformer):
    """A transformer without causality and head; norms lie before each part."""

    is_causal = False
    has_head = False
    is_neox = True

    def eps_key(self) -> str:
        """Files of some converters have it under the other kind of norm."""
        return next((key for key in (LAYER_EPS, RMS_EPS) if self.meta.has(key)), super().eps_key())

    def logits(self, n_ctx: int) -> Node:
        """The states: there are no logits."""
        return self.hidden(n_ctx)

    def hidden(self, n_ctx: int) -> Node:
        self.begin(n_ctx)
        return self.last(SelectRows(self.layers(self.embed())))

    def last(self, x: Node) -> Node:
        return self.norm(x, self.w, self.last_norm)


class PostNormEncoder(Encoder):
    """The BERT family: norms lie behind each sum of a part and what went into it, the first behind the embedding."""

    has_layer_norm = True
    activation = "gelu_erf"
    has_positions: ClassVar[bool] = False  # learned ones, in place of a rotation

    def embed(self) -> Node:
        """Token, type ("sentence A" for all) and position."""
        x, n = super().embed(), self.hp.n_embd
        n_types = self.meta.mapping.get("tokenizer.ggml.token_type_count")
        if self.w.has("token_types"):
            x = x + self.w("token_types", n_types if isinstance(n_types, int) else 1, n).part(0, 1)
        if self.has_positions:
            x = x + Embed(Positions(), self.w("position_embd", self.hp.n_ctx_train, n))
        return self.norm(x, self.w, "token_embd_norm")

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        x = self.norm(x + self.attention(x, w, i), w, "attn_output_norm")
        return self.norm(x + self.feed_forward(x, w, i), w, "layer_output_norm")

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        return feed_forward.plain(x, w, self.hp.ffs[i], self.activation)

    def last(self, x: Node) -> Node:
        return x
