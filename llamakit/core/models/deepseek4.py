"""DeepSeek V4: one key for all heads that is its own value, in windows, and summaries of all; several residual streams.

An indexer picks the summaries to attend to where they overlap; of others, which are of more positions, all are.
"""

from __future__ import annotations

from dataclasses import replace
from math import log
from typing import ClassVar

from llamakit.core.graph.ops import Concat, HeadLinear, Node, RmsNorm, Rope, Slice
from llamakit.core.graph.ops.attention import Attention
from llamakit.core.graph.ops.compressed import CompressedAttention, Pooled
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.blocks import hyper
from llamakit.core.models.blocks.indexer import SummaryChooser, read_indexer
from llamakit.core.models.blocks.mamba import STATES
from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.hyper_transformer import HyperTransformer
from llamakit.core.models.rope_settings import read_rotation
from llamakit.core.models.tensors import Tensors
from llamakit.errors import ModelError

OVERLAPPING = 4  # the ratio whose summaries are of twice as many positions


class Deepseek4(HyperTransformer, ExpertTransformer):
    arch = "deepseek4"
    hf_names: ClassVar[tuple[str, ...]] = ("DeepseekV4ForCausalLM",)
    gating = "softplus_root"
    clamped = "swiglu_clamp"

    def read_settings(self) -> None:
        super().read_settings()
        meta = self.meta
        if meta.int("hash_layer_count", 0, min=0):
            raise ModelError(f"{meta.path}: layers whose experts are chosen by token ids alone are not supported yet")
        self.window, self.q_rank = meta.int("attention.sliding_window", min=1), meta.int("attention.q_lora_rank", min=1)
        self.n_group = meta.int("attention.output_group_count", min=1, max=self.hp.n_head)
        self.out_rank = meta.int("attention.output_lora_rank", min=1)
        self.ratios = meta.ints("attention.compress_ratios", len(self.hp.heads), min=0, max=1024)
        self.shared_limits = meta.floats("swiglu_clamp_shexp", len(self.limits), self.limits)
        self.streams = hyper.read_hyper(meta, self.hp.eps)
        indexer = read_indexer(meta, len(self.hp.heads), self.hp.n_rot, is_neox=self.is_neox)
        self.indexer = replace(indexer, pool=OVERLAPPING, turns_last=True, eps=self.hp.eps)
        self.w.pass_over("*.scale", "*.input_scale", "blk.*.exp_probs_b_vl.bias")

    def begin(self, n_ctx: int) -> None:
        """Layers with summaries turn by another base, as the context's scaling says, but do not grow by it."""
        n, key = self.hp.n_rot, "attention.compress_rope_freq_base"
        self.near = read_rotation(self.meta, n, is_neox=self.is_neox, is_scaled=False)
        far = read_rotation(self.meta, n, is_neox=self.is_neox, base_key=key)
        if far.yarn:
            growth = 1.0 + 0.1 * log(1.0 / far.scale) if far.yarn.mix else 1.0
            far = replace(far, yarn=replace(far.yarn, attn_factor=1.0 / growth))
        self.far = far
        self.chooser = SummaryChooser(self.indexer, far, n_ctx)

    def attention(self, x: Node, w: Tensors, i: int) -> Node:
        hp, dim, ratio = self.hp, self.hp.head_dim, self.ratios[i]
        rotation = self.far if ratio else self.near
        short = self.norm(w.linear("attn_q_a", x, self.q_rank), w, "attn_q_a_norm")
        heads = RmsNorm(w.linear("attn_q_b", short, hp.n_head * dim), None, hp.eps, n=dim)
        q = self.turned(heads, rotation)
        key = self.turned(self.norm(w.linear("attn_kv", x, dim), w, "attn_kv_a_norm"), rotation)
        sinks = w("attn_sinks", hp.n_head)
        if ratio:
            keys = Concat((key, self.summary(x, w, ratio, i)))
            chosen = self.chooser.chosen(x, short, w, i) if ratio == OVERLAPPING else None
            attended: Node = CompressedAttention(q, keys, sinks, i, dim**-0.5, self.window, ratio, chosen=chosen)
        else:
            attended = Attention(q, key, key, dim, i, dim**-0.5, self.window, sinks=sinks)
        back = self.turned(attended, replace(rotation, is_back=True))
        groups = w.reshaped("attn_output_a", self.n_group, self.out_rank, hp.n_head * dim // self.n_group)
        return w.linear("attn_output_b", HeadLinear(back, groups), hp.n_embd)

    def turned(self, heads: Node, rotation: Rotation) -> Node:
        """The last dimensions of each head turn."""
        n, plain, n_rot = heads.width // self.hp.head_dim, self.hp.head_dim - rotation.n_rot, rotation.n_rot
        if not plain:
            return Rope(heads, n_rot, rotation)
        return Concat((Slice(heads, 0, plain, n), Rope(Slice(heads, plain, n_rot, n), n_rot, rotation)), n)

    def summary(self, x: Node, w: Tensors, ratio: int, i: int) -> Node:
        """Of the last positions, turned as the first of them."""
        dim = self.hp.head_dim
        width = 2 * dim if ratio == OVERLAPPING else dim
        values, scores = (w.linear(f"attn_compressor_{name}", x, width) for name in ("kv", "gate"))
        mean = Pooled(values, scores, w("attn_compressor_ape", ratio, width), dim, ratio, STATES * i)
        return self.turned(self.norm(mean, w, "attn_compressor_norm"), replace(self.far, shift=1 - ratio))
