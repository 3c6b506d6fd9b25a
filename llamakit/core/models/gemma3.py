"""Gemma 3, text: norms before and after each part, five layers with a sliding window for one without."""

from __future__ import annotations

from collections.abc import Iterator

from llamakit.core.graph.ops import Embed, Node, Softcap, Tokens
from llamakit.core.models.base import Decoder
from llamakit.core.models.blocks import (
    attention,
    attention_specs,
    feed_forward_specs,
    head_norm_specs,
    unscaled_feed_forward,
)
from llamakit.core.models.rope_settings import read_rotation
from llamakit.core.models.sliding_window import layers_with_window
from llamakit.core.models.tensors import Spec, Tensors, vector


class Gemma3(Decoder):
    arch = "gemma3"
    hf_names = ("Gemma3ForCausalLM", "Gemma3ForConditionalGeneration")
    is_neox = True

    def layer_specs(self, i: int) -> Iterator[Spec]:
        for name in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"):
            yield from vector(name, self.hp.n_embd)
        yield from attention_specs(self.hp)
        yield from head_norm_specs(self.hp)
        yield from feed_forward_specs(self.hp)

    def begin(self, n_ctx: int) -> None:
        super().begin(n_ctx)
        self.window = self.meta.int("attention.sliding_window", 0, min=0)
        self.has_window = layers_with_window(self.meta, self.hp.n_layer, period=6)
        self.local_rotation = read_rotation(
            self.meta, self.hp.n_rot, is_neox=True, base_key="rope.freq_base_swa", is_scaled=False
        )

    def embed(self) -> Node:
        return Embed(Tokens(), self.w.token_embd.weight, scale=self.hp.n_embd**0.5)

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        rotation, window = (self.local_rotation, self.window) if self.has_window[i] else (self.rotation, 0)
        attended = attention(self.norm(x, w.attn_norm), w, i, self.hp, rotation, window)
        x = x + self.norm(attended, w.post_attention_norm)
        return x + self.norm(unscaled_feed_forward(self.norm(x, w.ffn_norm), w, "gelu"), w.post_ffw_norm)

    def head(self, x: Node) -> Node:
        cap = self.meta.float("final_logit_softcapping", 0.0, min=0)
        logits = super().head(x)
        return Softcap(logits, cap) if cap else logits
