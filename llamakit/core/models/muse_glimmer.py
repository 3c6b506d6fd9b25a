"""Muse Glimmer: the embedding is normed, what is attended is gated, only layers with a window turn their heads."""

from __future__ import annotations

from llamakit.core.graph.ops import Node, RmsNorm, Softcap
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.blocks.attention import sigmoid_gate
from llamakit.core.models.sliding_window import SlidingWindow
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import HeadNorms

LAST_EPS = 1e-8  # of the norms behind each part


class MuseGlimmer(HeadNorms, SlidingWindow):
    arch = "muse-glimmer"
    hf_names = ("MuseGlimmerForCausalLM",)
    window_period = 4

    def embed(self) -> Node:
        return RmsNorm(super().embed(), None, self.hp.eps)

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        attended = self.attention(self.norm(x, w, "attn_norm"), w, i)
        x = x + RmsNorm(attended, w("post_attention_norm", x.width), LAST_EPS)
        fed = self.feed_forward(self.norm(x, w, "ffn_norm"), w, i)
        return x + RmsNorm(fed, w("post_ffw_norm", x.width), LAST_EPS)

    def rotation_of(self, i: int) -> Rotation | None:
        return self.local_rotation if self.has_window[i] else None

    def gated(self, attended: Node, x: Node, w: Tensors, i: int) -> Node:
        return sigmoid_gate(attended, x, w, attended.width)

    def head(self, x: Node) -> Node:
        logits = super().head(x) * self.meta.float("logit_scale")
        cap = self.meta.float("final_logit_softcapping", 0.0, min=0)
        return Softcap(logits, cap) if cap else logits
