"""Qwen 3.5 with experts, and a gated shared one."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks.mixture import gated_share
from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.qwen35 import Qwen35
from llamakit.core.models.tensors import Tensors


class Qwen35Moe(Qwen35, ExpertTransformer):
    arch = "qwen35moe"
    hf_names: ClassVar[tuple[str, ...]] = ("Qwen3_5MoeForCausalLM", "Qwen3_5MoeForConditionalGeneration")
    is_normed = True
    shows_dense_layers = True
    has_expert_scales = True

    def shared(self, x: Node, w: Tensors, i: int) -> Node:
        return gated_share(super().shared(x, w, i), x, w)
