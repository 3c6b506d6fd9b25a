"""Nanbeige: a stack of layers passed several times, each time with a cache of its own."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.llama import Llama


class Nanbeige(Llama):
    arch = "nanbeige"
    hf_names = ("NanbeigeForCausalLM",)

    def layers(self, x: Node) -> Node:
        n_loops = self.meta.int("num_loops", 1, min=1, max=64)
        is_normed = not self.meta.bool("skip_loop_final_norm", False)
        for loop in range(n_loops):
            self.first_cache = loop * self.hp.n_layer
            x = super().layers(x)
            if is_normed and loop + 1 < n_loops:
                x = self.norm(x, self.w, "output_norm")
        return x
