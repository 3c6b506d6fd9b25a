"""Transformers with experts, behind some dense layers, perhaps beside a shared expert that all tokens take."""

from __future__ import annotations

from typing import Any, ClassVar

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.blocks.mixture import Routing, mixture, read_routing
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer

SMALLEST_LIMIT = 1e-6  # of gates and ups; less means none


class ExpertTransformer(Transformer):
    """Its routing comes from the metadata, and from these where that names none."""

    gating: str = "softmax"
    is_normed: ClassVar[bool] = False
    has_expert_scales: ClassVar[bool] = False
    has_shared: ClassVar[bool] = True  # a shared expert, where the metadata gives it a width
    shows_dense_layers: ClassVar[bool] = False  # a layer with the tensors of a dense one is dense
    clamped: ClassVar[str] = "silu_clamp"  # the kind of `Glu` where a limit is given

    def read_settings(self) -> None:
        super().read_settings()
        meta, n_block = self.meta, len(self.hp.heads)
        self.n_dense = meta.int("leading_dense_block_count", 0, min=0)
        self.n_shared = meta.int("expert_shared_feed_forward_length", 0, min=0)
        self.n_shared = self.n_shared or meta.int("expert_shared_count", 0, min=0) * self.hp.n_ff_expert
        self.limits = meta.floats("swiglu_clamp_exp", n_block, [0.0] * n_block)
        self.shared_limits = meta.floats("swiglu_clamp_shexp", n_block, [0.0] * n_block)

    def is_dense(self, i: int) -> bool:
        if self.shows_dense_layers and self.w.layer(i).has("ffn_gate"):
            return True
        return i < self.n_dense

    def routing(self, i: int) -> Routing:
        fields: dict[str, Any] = {"activation": self.activation}
        if self.limits[i] > SMALLEST_LIMIT:
            fields |= {"activation": self.clamped, "limit": self.limits[i]}
        return read_routing(
            self.meta,
            self.hp,
            gating=self.gating,
            is_normed=self.is_normed,
            has_scales=self.has_expert_scales,
            **fields,
        )

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        if self.is_dense(i):
            return super().feed_forward(x, w, i)
        chosen = mixture(x, w, self.routing(i))
        return chosen + self.shared(x, w, i) if self.has_shared and self.n_shared else chosen

    def shared(self, x: Node, w: Tensors, i: int) -> Node:
        limit = self.shared_limits[i] if self.shared_limits[i] > SMALLEST_LIMIT else 0.0
        kind = self.clamped if limit else self.activation
        return feed_forward.gated(
            x, w, self.n_shared, kind, has_scales=self.has_ffn_scales, suffix="_shexp", limit=limit
        )
