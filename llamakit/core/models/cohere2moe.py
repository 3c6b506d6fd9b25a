"""Command A with experts: attention beside experts, of one norm; the shared expert counts as much as the others."""

from __future__ import annotations

from llamakit.core.gguf.metadata import Metadata
from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.blocks.mixture import mixture
from llamakit.core.models.command_r import CommandR
from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.hparams import RMS_EPS
from llamakit.core.models.rope_settings import layers_that_turn
from llamakit.core.models.sliding_window import SlidingWindow
from llamakit.core.models.tensors import ModelFile, Tensors


class Cohere2Moe(ExpertTransformer, SlidingWindow, CommandR):
    arch = "cohere2moe"
    hf_names = ("Cohere2MoeForCausalLM",)
    gating = "sigmoid"
    has_ffn_scales = True
    has_expert_scales = True
    window_period = 4
    is_dense_first = True

    def __init__(self, meta: Metadata, reader: ModelFile) -> None:
        self.has_layer_norm = not meta.has(RMS_EPS)
        super().__init__(meta, reader)

    def read_settings(self) -> None:
        super().read_settings()
        self.w.pass_over("output.scale")
        usual = [has_window or self.is_dense(i) for i, has_window in enumerate(self.has_window)]
        self.turns = layers_that_turn(self.meta, usual)

    def rotation_of(self, i: int) -> Rotation | None:
        return self.rotation if self.turns[i] else None

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        if self.is_dense(i) or not self.n_shared:
            return super().feed_forward(x, w, i)
        return (mixture(x, w, self.routing(i)) + self.shared(x, w, i)) * 0.5
