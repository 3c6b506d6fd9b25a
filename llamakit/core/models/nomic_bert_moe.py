"""Nomic BERT with experts in every other layer."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks.mixture import mixture, read_routing
from llamakit.core.models.encoder import PostNormEncoder
from llamakit.core.models.tensors import Tensors


class NomicBertMoe(PostNormEncoder):
    arch = "nomic-bert-moe"
    hf_names = ("NomicBertModel",)

    def read_settings(self) -> None:
        super().read_settings()
        self.period = self.meta.int("moe_every_n_layers", 0, min=0)
        self.routing = read_routing(self.meta, self.hp, is_normed=False, activation="gelu_erf", n_ff=self.hp.n_ff)

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        if self.period and i % self.period == 1:
            return mixture(x, w, self.routing)
        return super().feed_forward(x, w, i)
