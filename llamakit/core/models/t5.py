"""T5, Flan-T5, mT5: an encoder reads the source, a decoder that attends to it continues the answer."""

from __future__ import annotations

from llamakit.core.graph.ops import Node, SelectRows
from llamakit.core.graph.ops.attention import KeepSource, SourceAttention
from llamakit.core.models.t5encoder import T5Encoder
from llamakit.core.models.tensors import Tensors


class T5(T5Encoder):
    arch = "t5"
    hf_names = ("T5ForConditionalGeneration", "MT5ForConditionalGeneration", "UMT5ForConditionalGeneration")
    has_head = True
    last_norm = "dec.output_norm"

    def read_settings(self) -> None:
        super().read_settings()
        self.n_decoder = self.meta.int("decoder_block_count", self.hp.n_layer, min=1, max=1024)
        self.logit_scale = self.meta.float("logit_scale", 1.0, above=0)
        self.decoder_start = self.meta.int("decoder_start_token_id", 0, min=0, max=self.n_vocab - 1)
        self.w.pass_over("dec.blk.*.cross_attn_rel_b.weight")

    def graphs(self, n_ctx: int) -> list[Node]:
        return [self.source(n_ctx), self.logits(n_ctx)]

    def source(self, n_ctx: int) -> Node:
        """The encoder; keys and values of its states for each layer of the decoder."""
        x = self.encoded(self.embed())
        _, n_k, n_v = self.widths()
        for i in range(self.n_decoder):
            w = self.w.under("dec.").layer(i)
            k, v = w.linear("cross_attn_k", x, n_k), w.linear("cross_attn_v", x, n_v)
            x = KeepSource(x, k, v, self.hp.head_dim, self.source_layer(i))
        return SelectRows(x)

    def source_layer(self, i: int) -> int:
        """Of the cache: behind those of the encoder and those of the decoder itself."""
        return self.hp.n_layer + self.n_decoder + i

    def logits(self, n_ctx: int) -> Node:
        x = self.embed()
        for i in range(self.n_decoder):
            w = self.w.under("dec.").layer(i)
            x = x + self.own(self.norm(x, w, "attn_norm"), w, "dec", i, self.hp.n_layer + i)
            x = x + self.crossed(self.norm(x, w, "cross_attn_norm"), w, i)
            x = x + self.feed_forward(self.norm(x, w, "ffn_norm"), w, i)
        logits = self.head(x)
        return logits * self.logit_scale if self.logit_scale != 1 else logits

    def crossed(self, x: Node, w: Tensors, i: int) -> Node:
        """Attention to the source."""
        hp = self.hp
        q = w.linear("cross_attn_q", x, self.widths()[0])
        attended = SourceAttention(q, hp.head_dim, hp.head_dim_v, hp.n_head_kv, self.source_layer(i), 1.0)
        return w.linear("cross_attn_o", attended, hp.n_embd)
