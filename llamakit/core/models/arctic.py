"""Arctic: a dense feed-forward behind attention, and experts beside both."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.blocks.mixture import mixture
from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.tensors import Tensors


class Arctic(ExpertTransformer):
    arch = "arctic"
    hf_names = ("ArcticForCausalLM",)
    is_normed = True

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        attended = x + self.attention(self.norm(x, w, "attn_norm"), w, i)
        dense = attended + feed_forward.gated(self.norm(attended, w, "ffn_norm"), w, self.hp.n_embd)
        return dense + mixture(self.norm(x, w, "ffn_norm_exps"), w, self.routing(i))
