"""GLM 5.3 Flash: Kimi Linear's layers between several residual streams that mix; an indexer picks pools of keys."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from llamakit.core.graph.ops import Node, SelectRows
from llamakit.core.models.blocks import feed_forward, hyper
from llamakit.core.models.blocks.delta_net import bounded_decay, kimi_delta, read_bound, through_two
from llamakit.core.models.blocks.indexer import Chooser, read_indexer
from llamakit.core.models.expert_transformer import SMALLEST_LIMIT
from llamakit.core.models.hyper_transformer import HyperTransformer
from llamakit.core.models.kimi_linear import KimiLinear
from llamakit.core.models.tensors import Tensors
from llamakit.errors import ModelError

UNIT_EPS = 1e-6  # of the length of a delta net's queries and keys


class Glm5Next(HyperTransformer, KimiLinear):
    arch = "glm5-next"
    hf_names: ClassVar[tuple[str, ...]] = ("Glm5NextForConditionalGeneration",)
    is_normed = False
    clamped = "swiglu_clamp"
    may_be_zero = ("rope.dimension_count",)

    def read_settings(self) -> None:
        super().read_settings()
        meta = self.meta
        self.latent = replace(self.latent, q_rank=meta.int("attention.q_lora_rank", min=1, max=1 << 16))
        self.delta = replace(self.delta, unit_eps=UNIT_EPS)
        self.lowest = read_bound(meta)
        self.streams = hyper.read_hyper(meta, self.hp.eps)
        self.shared_limits = meta.floats("swiglu_clamp_shexp", len(self.limits), self.limits)
        self.w.pass_over("*.scale", "*.input_scale")
        if not meta.bool("attention.indexer.kpool_select_tail", True):
            raise ModelError(
                f"{meta.path}: an indexer that leaves out keys behind its last whole pool is not supported yet"
            )
        pool = meta.int("attention.indexer.kpool", 1, min=1, max=4096)
        indexer = read_indexer(meta, len(self.hp.heads), 0, is_neox=False)
        self.indexer = replace(indexer, pool=pool, top_k=indexer.top_k // pool)

    def begin(self, n_ctx: int) -> None:
        """Nothing turns."""
        self.chooser = Chooser(self.indexer, None, n_ctx)

    def chosen(self, x: Node, short: Node, w: Tensors, i: int) -> Node | None:
        return self.chooser.chosen(x, short, w, i)

    def attention(self, x: Node, w: Tensors, i: int) -> Node:
        if self.hp.heads_kv[i]:
            return super().attention(x, w, i)
        d = self.delta
        forget = bounded_decay(through_two(x, w, "ssm_f", d.n_key, d.key_width), w, d.n_head_v, self.lowest)
        return kimi_delta(x, w, d, i, forget, through_two(x, w, "ssm_g", d.n_key, d.value_width))

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        limit = self.shared_limits[i]
        if self.is_dense(i) and limit > SMALLEST_LIMIT:
            return feed_forward.gated(x, w, self.hp.ffs[i], self.clamped, limit=limit)
        return super().feed_forward(x, w, i)

    def head(self, x: Node) -> Node:
        mean = hyper.mean(SelectRows(x), self.streams.n)
        return self.w.linear("output", self.norm(mean, self.w, self.last_norm), self.n_vocab)
