"""Kimi K3: Kimi Linear whose layers read a learned mean of earlier sums, and whose experts are narrower than x."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from llamakit.core.graph.ops import Concat, Linear, Node, RmsNorm
from llamakit.core.graph.ops.streams import Mix, Softmax
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.blocks.attention import sigmoid_gate
from llamakit.core.models.blocks.delta_net import bounded_decay, kimi_delta, read_bound, through_two
from llamakit.core.models.blocks.mixture import mixture
from llamakit.core.models.kimi_linear import KimiLinear
from llamakit.core.models.tensors import Tensors


class KimiK3(KimiLinear):
    """Every `attn_res.block_size` layers the sum of all layers' results is banked, and begins anew."""

    arch = "kimi-k3"
    hf_names: ClassVar[tuple[str, ...]] = ("KimiK3ForConditionalGeneration",)
    activation = "situ"
    is_normed = False

    def read_settings(self) -> None:
        super().read_settings()
        meta = self.meta
        self.latent = replace(self.latent, q_rank=meta.int("attention.q_lora_rank", 0, min=0, max=1 << 16))
        self.n_latent = meta.int("expert_latent_length", 0, min=0)
        self.n_shared = self.n_shared or self.hp.n_ff_expert
        self.block_size = meta.int("attn_res.block_size", min=0)
        self.gate_cap = meta.float("activation.situ_beta")
        self.up_cap = max(meta.float("activation.situ_linear_beta"), 0.0)
        self.lowest = read_bound(meta)
        self.w.pass_over("*.scale", "*.input_scale")

    def layers(self, x: Node) -> Node:
        banked: list[Node] = []
        for i in range(self.hp.n_layer):
            w = self.w.layer(i)
            is_banked = self.block_size > 0 and i % self.block_size == 0
            read = self.recalled(x, banked, w, "attn_res_score")
            if is_banked:
                banked.append(x)
            attended = self.attention(self.norm(read, w, "attn_norm"), w, i)
            x = attended if is_banked else x + attended
            read = self.recalled(x, banked, w, "ffn_res_score")
            x = x + self.feed_forward(self.norm(read, w, "ffn_norm"), w, i)
        return self.recalled(x, banked, self.w, "output_res_score")

    def recalled(self, x: Node, banked: list[Node], w: Tensors, name: str) -> Node:
        """The mean of what is banked and x, with the softmax of their scores as shares."""
        if not self.block_size:
            return x
        score = w(name, 1, x.width)  # there even where nothing is banked yet
        if not banked:
            return x
        streams = (*banked, x)
        scores = Concat(tuple(Linear(RmsNorm(s, None, self.hp.eps), score) for s in streams))
        return Mix(Concat(streams), Softmax(scores, len(streams)), x.width)

    def attention(self, x: Node, w: Tensors, i: int) -> Node:
        if not self.hp.heads_kv[i]:
            d = self.delta
            forget = bounded_decay(through_two(x, w, "ssm_f", d.n_key, d.key_width), w, d.n_head_v, self.lowest)
            return kimi_delta(x, w, d, i, forget, w.linear("ssm_g", x, d.value_width))
        return super().attention(x, w, i)

    def gated(self, attended: Node, x: Node, w: Tensors, i: int) -> Node:
        return sigmoid_gate(attended, x, w, attended.width) if w.has("attn_gate") else attended

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        if self.is_dense(i):
            return self.plain_feed_forward(x, w, self.hp.ffs[i])
        inner: Node = w.linear("ffn_routed_down", x, self.n_latent) if self.n_latent else x
        routing = replace(self.routing(i), limit=self.gate_cap, up_cap=self.up_cap)
        chosen: Node = mixture(inner, w, routing, router=w.linear("ffn_gate_inp", x, self.hp.n_expert))
        if self.n_latent:
            if w.has("ffn_routed_norm"):
                chosen = self.norm(chosen, w, "ffn_routed_norm")
            chosen = w.linear("ffn_routed_up", chosen, x.width)
        return chosen + self.plain_feed_forward(x, w, self.n_shared, "_shexp") if w.has("ffn_gate_shexp") else chosen

    def plain_feed_forward(self, x: Node, w: Tensors, n_ff: int, suffix: str = "") -> Node:
        return feed_forward.gated(x, w, n_ff, "situ", suffix=suffix, limit=self.gate_cap, up_cap=self.up_cap)
