"""GroveMoE: Qwen 3's attention; what the experts give goes on to experts that neighbours share."""

from __future__ import annotations

from dataclasses import replace

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks.mixture import mixture
from llamakit.core.models.qwen3moe import Qwen3Moe
from llamakit.core.models.tensors import Tensors


class GroveMoe(Qwen3Moe):
    arch = "grovemoe"
    hf_names = ("GroveMoeForCausalLM",)
    has_expert_scales = False

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        meta, routing = self.meta, self.routing(i)
        router = w.linear("ffn_gate_inp", x, routing.n_expert)
        chosen = mixture(x, w, routing, router)
        per_expert = meta.int("experts_per_group", min=1, max=routing.n_expert)
        n_ff = meta.int("expert_chunk_feed_forward_length", 0, min=0) or self.hp.head_dim
        shared = replace(
            routing, n_ff=n_ff, per_expert=per_expert, n_used=min(routing.n_used, routing.n_expert // per_expert)
        )
        return chosen + mixture(chosen, w, shared, router, "_chexps") * meta.float("expert_group_scale")
