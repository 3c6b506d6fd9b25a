"""RWKV 6 (Finch): layers that mix each token with the one before, and remember by linear attention with decay."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.base import Decoder
from llamakit.core.models.blocks.rwkv import NO_HEADS, channel_mix, read_shape6, time_mix6
from llamakit.core.models.tensors import Tensors


class Rwkv6(Decoder):
    arch = "rwkv6"
    hf_names = ("Rwkv6ForCausalLM",)
    has_layer_norm = True
    may_be_zero = NO_HEADS

    def read_settings(self) -> None:
        self.shape = read_shape6(self.meta, self.hp.n_embd)
        self.halved_every = self.meta.int("rescale_every_n_layers", 0, min=0)

    def rotation_for(self, n_ctx: int) -> Rotation:
        return Rotation(2, 10000.0)

    def embed(self) -> Node:
        return self.norm(super().embed(), self.w, "token_embd_norm")

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        x = x + time_mix6(self.norm(x, w, "attn_norm"), w, self.shape, i)
        x = x + channel_mix(self.norm(x, w, "attn_norm_2"), w, self.hp.ffs[i], i, has_gate=True)
        return x * 0.5 if self.halved_every and (i + 1) % self.halved_every == 0 else x
