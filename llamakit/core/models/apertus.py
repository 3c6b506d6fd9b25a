"""Apertus: heads normed, feed-forward without gate through xIELU, whose slopes each layer has learned."""

from __future__ import annotations

import math

from llamakit.core.graph.ops import Activation, Node
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import HeadNorms


class Apertus(HeadNorms):
    arch = "apertus"
    hf_names = ("ApertusForCausalLM",)
    is_neox = True

    def read_settings(self) -> None:
        super().read_settings()
        n_block = len(self.hp.heads)
        section = self.meta.section("xielu")
        below, above, beta = (section.floats(key, n_block) for key in ("alpha_n", "alpha_p", "beta"))
        self.slopes = [(b + softplus(n), softplus(p), b) for n, p, b in zip(below, above, beta, strict=True)]
        self.w.pass_over("blk.*.attn_q_norm.bias", "blk.*.attn_k_norm.bias")

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        up = w.matrix("ffn_up", self.hp.ffs[i], x.width).unscaled(x)
        return w.matrix("ffn_down", x.width, self.hp.ffs[i]).unscaled(xielu(up, *self.slopes[i]))


def xielu(x: Node, below: float, above: float, beta: float) -> Node:
    """above x^2 + beta x where x is positive, else below (e^x - 1 - x) + beta x.  Source: arXiv:2411.13010"""
    curved = Activation(x, "relu2") * above + (Activation(x, "elu") + x * -1.0) * below
    return curved + x * beta


def softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))
