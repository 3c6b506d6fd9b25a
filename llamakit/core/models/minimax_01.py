"""MiniMax Text 01: linear attention that fades, some layers of attention; experts; residuals of what was normed."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops import Activation, Node, RmsNorm, Slice
from llamakit.core.graph.ops.recurrent import FadingScan
from llamakit.core.models.blocks.attention import sigmoid_gate
from llamakit.core.models.blocks.delta_net import recurrent_layers
from llamakit.core.models.blocks.mamba import STATES
from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.tensors import Tensors

INTERVAL = 8  # of layers with attention


def fading_rates(n_head: int) -> list[float]:
    """2^(-8 / heads) to the powers of 1 to heads."""
    ratio = 2.0 ** (-8.0 / n_head)
    return [ratio ** (h + 1) for h in range(n_head)]


class MiniMax01(ExpertTransformer):
    arch = "minimax-01"
    hf_names: ClassVar[tuple[str, ...]] = ("MiniMaxText01ForCausalLM",)
    is_neox = True
    is_normed = True

    def read_settings(self) -> None:
        super().read_settings()
        self.is_recurrent = recurrent_layers(self.meta, self.hp.n_layer, INTERVAL)
        scale = self.meta.float("residual_scale")  # or that of linear attention, attention and feed-forward
        own = self.meta.section("llamakit")
        self.scales = own.floats("residual_scales", 3, [scale] * 3)
        self.linear_eps = own.float("mixer_norm_epsilon", self.hp.eps, min=0, max=1)

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        x = self.norm(x, w, "attn_norm")
        if self.is_recurrent[i]:
            x = self.fade(x, w, i) + x * self.scales[0]
        else:
            x = self.attention(x, w, i) + x * self.scales[1]
        x = self.norm(x, w, "ffn_norm")
        return self.feed_forward(x, w, i) + x * self.scales[2]

    def fade(self, x: Node, w: Tensors, i: int) -> Node:
        n_head, dim = self.hp.n_head, self.hp.head_dim
        w.pass_over("attn_qkv.scale", "attn_gate.scale", "attn_output.scale")
        heads = Activation(w.linear("attn_qkv", x, 3 * n_head * dim), "silu")
        q, k, v = (Slice(heads, first, dim, n_head) for first in (0, dim, 2 * dim))
        slower = 1 - i / max(self.hp.n_layer - 1, 1) + 1e-5
        rates = tuple(rate * slower for rate in fading_rates(n_head))
        y = RmsNorm(FadingScan(q, k, v, rates, dim, STATES * i), w("attn_norm_2", n_head * dim), self.linear_eps)
        return w.linear("attn_output", sigmoid_gate(y, x, w, y.width), self.hp.n_embd)
