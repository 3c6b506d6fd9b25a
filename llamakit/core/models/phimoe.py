"""Phi 3.5 MoE: norms and matrices with biases, experts in every layer.

transformers norms by mean and variance, and mixes experts sparsely; llama.cpp norms by the root mean square and mixes
by softmax. Two keys say which it is.
"""

from __future__ import annotations

from dataclasses import replace

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks.mixture import mixture, read_routing
from llamakit.core.models.hparams import LAYER_EPS
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class PhiMoe(Transformer):
    arch = "phimoe"
    hf_names = ("PhiMoEForCausalLM",)
    is_neox = True

    def read_settings(self) -> None:
        super().read_settings()
        self.has_layer_norm = self.meta.float(LAYER_EPS, 0.0) > 0
        jitter = self.meta.section("llamakit").float("router_jitter", 0.0, min=0)
        self.routing = read_routing(self.meta, self.hp, is_normed=True)
        if jitter:
            self.routing = replace(self.routing, gating="sparse_mixer", is_normed=False, jitter=jitter)

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        return mixture(x, w, self.routing)
