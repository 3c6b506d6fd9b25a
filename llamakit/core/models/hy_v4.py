"""Hunyuan 4: latent attention with sinks and gates to the keys an indexer picks, experts, several residual streams."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from llamakit.core.graph.ops import Node, Weight
from llamakit.core.models.blocks import hyper
from llamakit.core.models.blocks.attention import sigmoid_gate
from llamakit.core.models.blocks.indexer import Chooser, Indexer, read_indexer
from llamakit.core.models.deepseek2 import Deepseek2
from llamakit.core.models.hyper_transformer import HyperTransformer
from llamakit.core.models.tensors import Tensors


class HyV4(HyperTransformer, Deepseek2):
    arch = "hy_v4"
    hf_names: ClassVar[tuple[str, ...]] = ("HYV4ForCausalLM",)
    gating = "sigmoid"
    clamped = "swiglu_clamp"

    def read_settings(self) -> None:
        super().read_settings()
        streams = hyper.read_hyper(self.meta, self.hp.eps)
        magnitude = self.meta.float("hyper_connection.magnitude")
        self.streams = replace(streams, n_rounds=0, magnitude=magnitude, write_eps=streams.eps)
        self.w.pass_over("*.scale", "*.input_scale")
        self.indexer: Indexer | None = None
        if self.meta.int("attention.indexer.top_k", 0, min=0):  # else all layers attend to all keys
            indexer = read_indexer(self.meta, len(self.hp.heads), self.hp.n_rot, is_neox=False)
            self.indexer = replace(indexer, eps=self.hp.eps, turns_last=True)

    def begin(self, n_ctx: int) -> None:
        super().begin(n_ctx)
        self.chooser = Chooser(self.indexer, self.rotation, n_ctx) if self.indexer else None

    def chosen(self, x: Node, short: Node, w: Tensors, i: int) -> Node | None:
        return self.chooser.chosen(x, short, w, i) if self.chooser else None

    def sinks(self, w: Tensors) -> Weight | None:
        return w("attn_sinks", self.hp.n_head)

    def gated(self, attended: Node, x: Node, w: Tensors, i: int) -> Node:
        return sigmoid_gate(attended, x, w, attended.width)
