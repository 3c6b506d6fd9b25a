"""GLM 4.5 to 4.7: biases on q, k, v, heads normed in the large one, experts behind dense layers."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import HeadNorms


class Glm4Moe(HeadNorms, ExpertTransformer):
    arch = "glm4moe"
    hf_names = ("Glm4MoeForCausalLM",)
    is_neox = True
    are_optional = True
    gating = "sigmoid"

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        x = x + self.attention(self.norm(x, w, "attn_norm"), w, i)
        return x + self.feed_forward(self.norm(x, w, "post_attention_norm"), w, i)
