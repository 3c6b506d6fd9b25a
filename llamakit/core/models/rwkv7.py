"""RWKV 7 (Goose): RWKV 6 whose state is also corrected, key by key; later layers mix in the first one's values."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.base import Decoder
from llamakit.core.models.blocks.rwkv import NO_HEADS, channel_mix, read_shape7, time_mix7
from llamakit.core.models.tensors import Tensors


class Rwkv7(Decoder):
    arch = "rwkv7"
    hf_names: ClassVar[tuple[str, ...]] = ("Rwkv7ForCausalLM", "RWKV7ForCausalLM")
    has_layer_norm = True
    may_be_zero = NO_HEADS

    def read_settings(self) -> None:
        self.shape = read_shape7(self.meta, self.hp.n_embd)

    def rotation_for(self, n_ctx: int) -> Rotation:
        return Rotation(2, 10000.0)

    def embed(self) -> Node:
        return self.norm(super().embed(), self.w, "token_embd_norm")

    def layers(self, x: Node) -> Node:
        value = None
        for i in range(self.hp.n_layer):
            w = self.w.layer(i)
            found, value = time_mix7(self.norm(x, w, "attn_norm"), w, self.shape, i, value)
            x = x + found
            x = x + self.feed_forward(x, w, i)
        return x

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        return channel_mix(self.norm(x, w, "attn_norm_2"), w, self.hp.ffs[i], i, has_gate=False)
