"""dots.note 3: latent attention of two shapes, in full and in windows, each head behind a gate; experts.

Full layers attend to the keys that their indexer picks, where there are more than it keeps.
"""

from __future__ import annotations

from dataclasses import replace

from llamakit.core.graph.ops import Node, Rope
from llamakit.core.graph.ops.attention import Attention
from llamakit.core.models.blocks.attention import sigmoid_gate
from llamakit.core.models.blocks.indexer import Chooser, read_indexer
from llamakit.core.models.blocks.latent import Latent, absorbed, expanded, short_query
from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.sliding_window import SlidingWindow
from llamakit.core.models.tensors import Tensors


class Dots3Note(ExpertTransformer, SlidingWindow):
    arch = "dots3note"
    window_period = 1
    has_ffn_scales = True
    has_expert_scales = True

    def read_settings(self) -> None:
        super().read_settings()
        self.latents = self.read_latent(""), self.read_latent("_swa")
        self.indexer = read_indexer(self.meta, len(self.hp.heads), self.hp.n_rot, is_neox=False)

    def begin(self, n_ctx: int) -> None:
        super().begin(n_ctx)
        self.chooser = Chooser(self.indexer, self.rotation, n_ctx)

    def is_indexed(self, i: int) -> bool:
        return self.indexer.has_own[i] and not self.has_window[i]

    def read_latent(self, suffix: str) -> Latent:
        meta, hp = self.meta, self.hp
        return Latent(
            n_head=hp.n_head,
            rank=meta.int(f"attention.kv_lora_rank{suffix}", min=1, max=1 << 16),
            q_rank=meta.int("attention.q_lora_rank", min=1, max=1 << 16),
            plain=meta.int(f"attention.key_length_mla{suffix}", min=hp.n_rot + 1, max=1024) - hp.n_rot,
            turned=hp.n_rot,
            value=meta.int(f"attention.value_length_mla{suffix}", min=1, max=1024),
            eps=hp.eps,
            has_key_norm=True,
        )

    def attention(self, x: Node, w: Tensors, i: int) -> Node:
        m = replace(self.latents[self.has_window[i]], n_head=self.hp.heads[i])
        rotation = self.rotation_of(i)
        assert rotation is not None
        w.pass_over("attn_gate.scale")
        short = short_query(x, w, m)
        q, k, v = absorbed(x, w, m, lambda part: Rope(part, m.turned, rotation), short)
        chosen = self.chooser.chosen(x, short, w, i) if short and self.is_indexed(i) else None
        attended = expanded(
            Attention(q, k, v, k.width, i, m.head_dim**-0.5, self.window_of(i), chosen=chosen), w, m
        )  # fmt: skip
        return w.linear("attn_output", sigmoid_gate(attended, x, w, m.n_head), self.hp.n_embd)
