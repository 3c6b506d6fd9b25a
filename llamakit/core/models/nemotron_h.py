"""Nemotron H: a layer is one of Mamba 2, attention without rotation, and a feed-forward without gate."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.blocks.mamba import mamba2, read_mamba
from llamakit.core.models.blocks.mixture import mixture, read_routing
from llamakit.core.models.hparams import LAYER_EPS, RMS_EPS
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class NemotronH(Transformer):
    arch = "nemotron_h"
    hf_names: ClassVar[tuple[str, ...]] = ("NemotronHForCausalLM",)
    activation = "relu2"

    def eps_key(self) -> str:
        return RMS_EPS if self.meta.has(RMS_EPS) else LAYER_EPS

    def read_settings(self) -> None:
        self.shape = read_mamba(self.meta, self.hp.eps)

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        normed = self.norm(x, w, "attn_norm")
        if self.hp.ffs[i]:
            return x + self.feed_forward(normed, w, i)
        return x + (self.attention(normed, w, i) if self.hp.heads_kv[i] else mamba2(normed, w, self.shape, i))

    def rotation_of(self, i: int) -> Rotation | None:
        return None

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        if not w.has("ffn_gate_inp"):
            return feed_forward.plain(x, w, self.hp.ffs[i], self.activation, has_scales=True)
        meta = self.meta
        routing = read_routing(meta, self.hp, gating="sigmoid", activation=self.activation, has_scales=True)
        n_shared = meta.int("expert_shared_feed_forward_length", min=1, max=1 << 22)
        router = w.linear("ffn_gate_inp", x, routing.n_expert)
        n_latent = meta.int("moe_latent_size", 0, min=0)
        inner: Node = w.matrix("ffn_latent_down", n_latent, x.width).unscaled(x) if n_latent else x
        chosen: Node = mixture(inner, w, routing, router)
        chosen = w.matrix("ffn_latent_up", x.width, n_latent).unscaled(chosen) if n_latent else chosen
        return chosen + feed_forward.plain(x, w, n_shared, self.activation, has_scales=True, suffix="_shexp")
