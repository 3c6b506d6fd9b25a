"""Talkie: no norm has weights, queries have a gain for each head, every layer adds a share of the embedding."""

from __future__ import annotations

from llamakit.core.graph.ops import Glu, Linear, Mul, Node, RmsNorm
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class Talkie(Transformer):
    arch = "talkie"
    hf_names = ("TalkieForCausalLM",)
    is_neox = True

    def norm(self, x: Node, w: Tensors, name: str) -> Node:
        return RmsNorm(x, None, self.hp.eps)

    def embed(self) -> Node:
        self.embedded = RmsNorm(super().embed(), None, self.hp.eps)
        return self.embedded

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        return super().layer(x, w, i) + Mul(self.embedded, w("layer_output_scale", 1))

    def heads(self, q: Node, k: Node, w: Tensors, i: int) -> tuple[Node, Node]:
        q, k = super().heads(q, k, w, i)
        q, k = (RmsNorm(each, None, self.hp.eps, n=self.hp.head_dim) for each in (q, k))
        return Mul(q, w("attn_q_norm", self.hp.heads[i])), k

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        n_ff = self.hp.ffs[i]
        gate, up = (w.matrix(name, n_ff, x.width).unscaled(x) for name in ("ffn_gate", "ffn_up"))
        down: Linear = w.matrix("ffn_down", x.width, n_ff).scaled_last(Glu(gate, up))
        return down

    def head(self, x: Node) -> Node:
        self.w.pass_over("output.scale")
        return super().head(x) * self.meta.float("logit_scale")
