"""Chameleon, text: Llama whose heads each have a norm of their own; the 34B norms behind each part, not before it."""

from __future__ import annotations

from llamakit.core.graph.ops import Concat, LayerNorm, Node, Shift, Slice
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer

HEAD_EPS = 1e-5
FIRST_IMAGE, AFTER_IMAGES = 4, 8196  # tokens of images lie between, and are never said
LOWEST = -3.4028234663852886e38


class Chameleon(Transformer):
    arch = "chameleon"
    hf_names = ("ChameleonForConditionalGeneration", "ChameleonForCausalLM")

    def read_settings(self) -> None:
        self.is_normed_behind = self.meta.bool("swin_norm", False)

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        """As transformers has it; behind the norm, llama.cpp's feed-forward reads what was attended without x."""
        if not self.is_normed_behind:
            return super().layer(x, w, i)
        x = x + self.norm(self.attention(x, w, i), w, "attn_norm")
        return x + self.norm(self.feed_forward(x, w, i), w, "ffn_norm")

    def heads(self, q: Node, k: Node, w: Tensors, i: int) -> tuple[Node, Node]:
        dim = self.hp.head_dim
        q, k = (
            LayerNorm(x, w(name, x.width // dim, dim), HEAD_EPS, w.find(f"{name}.bias", x.width // dim, dim))
            for name, x in (("attn_q_norm", q), ("attn_k_norm", k))
        )
        return super().heads(q, k, w, i)

    def head(self, x: Node) -> Node:
        logits = super().head(x)
        images = Slice(logits, FIRST_IMAGE, min(AFTER_IMAGES, self.n_vocab) - FIRST_IMAGE)
        parts = [Slice(logits, 0, FIRST_IMAGE), Shift(images * 0.0, LOWEST)]
        if self.n_vocab > AFTER_IMAGES:
            parts.append(Slice(logits, AFTER_IMAGES, self.n_vocab - AFTER_IMAGES))
        return Concat(tuple(parts))
