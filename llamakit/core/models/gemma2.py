"""Gemma 2: norms before and after each part, every other layer with a window, capped scores and logits."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops import Node, Softcap
from llamakit.core.graph.ops.attention import Attention
from llamakit.core.models.gemma import Gemma
from llamakit.core.models.sliding_window import SlidingWindow
from llamakit.core.models.tensors import Tensors

LAYERS_OF_27B = 46


class Gemma2(SlidingWindow, Gemma):
    arch = "gemma2"
    hf_names: ClassVar[tuple[str, ...]] = ("Gemma2ForCausalLM",)
    window_period = 2
    default_window = 4096

    def read_settings(self) -> None:
        super().read_settings()
        self.softcap = self.meta.float("attn_logit_softcapping", 50.0, min=0)
        self.last_softcap = self.meta.float("final_logit_softcapping", 30.0, min=0)
        self.is_normed_behind = any(self.w.layer(i).has("post_attention_norm") for i in range(self.hp.n_layer))
        self.scale = self.hp.scale
        if self.hp.n_layer == LAYERS_OF_27B and not self.meta.float("attention.scale", 0.0):
            self.scale = (self.hp.n_embd // self.hp.n_head) ** -0.5

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        x = x + self.behind(self.attention(self.norm(x, w, "attn_norm"), w, i), w, "post_attention_norm")
        return x + self.behind(self.feed_forward(self.norm(x, w, "ffn_norm"), w, i), w, "post_ffw_norm")

    def behind(self, x: Node, w: Tensors, name: str) -> Node:
        """What is added: not normed in VaultGemma."""
        return self.norm(x, w, name) if self.is_normed_behind else x

    def attend(self, q: Node, k: Node, v: Node, w: Tensors, i: int) -> Node:
        window = self.window_of(i)
        return Attention(q, k, v, self.hp.head_dim, i, self.scale, window, self.softcap, is_causal=self.is_causal)

    def head(self, x: Node) -> Node:
        logits = super().head(x)
        return Softcap(logits, self.last_softcap) if self.last_softcap else logits
