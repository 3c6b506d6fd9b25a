"""Grok 1 and 2: capped scores, norms before and after each part, GELU, experts beside a dense part in Grok 2."""

from __future__ import annotations

from llamakit.core.graph.ops import Node, Softcap
from llamakit.core.graph.ops.attention import Attention
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.blocks.mixture import mixture
from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.tensors import Tensors

SQRT_HALF = 0.7071067811865476


class Grok(ExpertTransformer):
    arch = "grok"
    hf_names = ("GrokForCausalLM", "Grok1ForCausalLM")
    is_neox = True
    is_normed = True
    activation = "gelu"

    def embed(self) -> Node:
        return super().embed() * self.meta.float("embedding_scale", 78.38367176906169)

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        x = x + self.norm(self.attention(self.norm(x, w, "attn_norm"), w, i), w, "attn_output_norm")
        last = "layer_output_norm" if w.has("layer_output_norm") else "post_ffw_norm"
        return x + self.norm(self.feed_forward(self.norm(x, w, "ffn_norm"), w, i), w, last)

    def attend(self, q: Node, k: Node, v: Node, w: Tensors, i: int) -> Node:
        scale = self.meta.float("attention.output_scale", 0.08838834764831845)
        cap = self.meta.float("attn_logit_softcapping", 30.0, min=0)
        return Attention(q, k, v, self.hp.head_dim, i, scale, softcap=cap)

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        chosen = mixture(x, w, self.routing(i))
        if not w.has("ffn_up"):
            return chosen
        return (chosen + feed_forward.gated(x, w, self.hp.ffs[i], self.activation)) * SQRT_HALF

    def head(self, x: Node) -> Node:
        logits = super().head(x) * self.meta.float("logit_scale", 0.5773502691896257)
        cap = self.meta.float("final_logit_softcapping", 0.0, min=0)
        return Softcap(logits, cap) if cap else logits
