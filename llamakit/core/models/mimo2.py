"""MiMo 2: heads and their values of other widths, sinks, windows by layer, experts by sigmoid behind dense layers."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.attention import Attention
from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.sliding_window import SlidingWindow
from llamakit.core.models.tensors import Tensors, uses_all_tensors


class MiMo2(ExpertTransformer, SlidingWindow):
    arch = "mimo2"
    hf_names = ("MiMoV2FlashForCausalLM", "MiMoV2ForCausalLM")
    is_neox = True
    gating = "sigmoid"
    is_normed = True
    has_shared = False
    window_period = 1

    def read_settings(self) -> None:
        super().read_settings()
        for name in ("attn_q", "attn_k", "attn_v", "attn_qkv"):
            self.w.pass_over(f"blk.*.{name}.scale")
            if not uses_all_tensors(self.meta):
                self.w.pass_over(f"blk.*.{name}.bias")
        self.value_scale = self.meta.float("attention.value_scale", 0.0)

    def attend(self, q: Node, k: Node, v: Node, w: Tensors, i: int) -> Node:
        sinks = w.find("attn_sinks", self.hp.heads[i])
        return Attention(q, k, v, self.hp.head_dim, i, self.hp.scale, self.window_of(i), sinks=sinks)

    def attention(self, x: Node, w: Tensors, i: int) -> Node:
        attended = super().attention(x, w, i)
        return attended * self.value_scale if self.value_scale not in (0.0, 1.0) else attended

    def is_dense(self, i: int) -> bool:
        return not self.w.layer(i).has("ffn_gate_inp")

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        if w.has("ffn_gate_inp"):
            w.pass_over("ffn_gate.*", "ffn_up.*", "ffn_down.*")
        return super().feed_forward(x, w, i)
