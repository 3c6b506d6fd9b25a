"""Gemma 4, text: heads of two widths, layers that share keys and values, an embedding for every layer, experts."""

from __future__ import annotations

from dataclasses import replace

from llamakit.core.graph.ops import Activation, Embed, Linear, Mul, Node, RmsNorm, Rope, Scale, Slice, Softcap, Tokens
from llamakit.core.graph.ops.attention import Attention, CachedAttention
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.blocks.attention import head_norm
from llamakit.core.models.blocks.attention import qkv as project
from llamakit.core.models.blocks.mixture import mixture, read_routing
from llamakit.core.models.gemma import Gemma
from llamakit.core.models.rope_settings import factors_of_windows, read_rotation, scaling_of_windows
from llamakit.core.models.sliding_window import SlidingWindow
from llamakit.core.models.tensors import Tensors
from llamakit.errors import ModelError


class Gemma4(SlidingWindow, Gemma):
    arch = "gemma4"
    hf_names = ("Gemma4ForCausalLM", "Gemma4ForConditionalGeneration")
    window_period = 6
    has_ffn_scales = True

    def read_settings(self) -> None:
        super().read_settings()
        meta, hp = self.meta, self.hp
        self.dims = hp.head_dim, meta.int("attention.key_length_swa", hp.head_dim, min=1, max=1024)
        self.n_rot_local = meta.int("rope.dimension_count_swa", min(hp.n_rot, self.dims[1]), min=2, max=self.dims[1])
        self.n_own = hp.n_layer - meta.int("attention.shared_kv_layers", 0, min=0, max=hp.n_layer - 1)
        self.n_input = meta.int("embedding_length_per_layer_input", 0, min=0, max=1 << 16)
        self.last_softcap = meta.float("final_logit_softcapping", 0.0, min=0)

    def local_rotation_for(self, n_ctx: int) -> Rotation:
        own = scaling_of_windows(self.meta)
        return read_rotation(
            self.meta,
            self.n_rot_local,
            is_neox=True,
            base_key="rope.freq_base_swa",
            default_base=self.rotation.base,
            factors=factors_of_windows(own, n_ctx) if own else None,
            is_scaled=own is not None,
            own_scaling=own,
        )

    def layers(self, x: Node) -> Node:
        self.inputs = self.inputs_of_layers(x) if self.n_input else None
        return super().layers(x)

    def inputs_of_layers(self, x: Node) -> Node:
        """What each layer gets of the tokens: a row of a second embedding, and a projection of the first one's."""
        n = self.hp.n_layer * self.n_input
        table = self.w("per_layer_token_embd", self.n_vocab, n)
        rows = Embed(Tokens(), table, scale=self.n_input**0.5)
        projected = self.w.matrix("per_layer_model_proj", n, x.width).unscaled(x) * x.width**-0.5
        normed = RmsNorm(projected, self.w("per_layer_proj_norm", self.n_input), self.hp.eps)
        return Scale(normed + rows, 0.5**0.5)

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        attended = self.attention(self.norm(x, w, "attn_norm"), w, i)
        x = x + self.norm(attended, w, "post_attention_norm")
        x = x + self.norm(self.feed_forward(x, w, i), w, "post_ffw_norm")
        if self.inputs is not None:
            x = x + self.of_input(self.inputs, x, w, i)
        scale = w.find("layer_output_scale", 1)
        return Mul(x, scale) if scale else x

    def of_input(self, inputs: Node, x: Node, w: Tensors, i: int) -> Node:
        """What a layer makes of its input, as far as x wants it."""
        gate = Activation(w.linear("inp_gate", x, self.n_input), self.activation)
        mine = Slice(inputs, i * self.n_input, self.n_input)
        return self.norm(w.linear("proj", Mul(gate, mine), x.width), w, "post_norm")

    def attention(self, x: Node, w: Tensors, i: int) -> Node:
        dim, rotation = self.dims[self.has_window[i]], self.rotation_of(i)
        assert rotation is not None
        own = replace(self.hp.of_layer(i), head_dim=dim, head_dim_v=dim)

        def head(part: Node, name: str) -> Node:
            return Rope(head_norm(part, w, name, dim, own.eps), dim, rotation)

        if i < self.n_own:
            if w.has("attn_qkv") or w.has("attn_v"):
                q, k, v = project(x, w, own)
            else:
                q, k = w.linear("attn_q", x, own.n_head * dim), w.linear("attn_k", x, own.n_head_kv * dim)
                v = k
            q, k, v = head(q, "attn_q_norm"), head(k, "attn_k_norm"), RmsNorm(v, None, own.eps, n=dim)
            attended: Node = Attention(q, k, v, dim, i, 1.0, self.window_of(i))
        else:
            w.pass_over("attn_k.*", "attn_v.*", "attn_k_norm.*")
            if w.has("attn_qkv"):
                whole = w.matrix("attn_qkv", (own.n_head + 2 * own.n_head_kv) * dim, x.width)
                q = whole.part(0, own.n_head * dim)(x)
            else:
                q = w.linear("attn_q", x, own.n_head * dim)
            source = self.layer_with_keys(i)
            attended = CachedAttention(
                head(q, "attn_q_norm"), dim, self.hp.heads_kv[source], dim, source, 1.0, self.window_of(i)
            )
        return w.linear("attn_output", attended, self.hp.n_embd)

    def layer_with_keys(self, i: int) -> int:
        """The last layer with keys of its own that sees as far."""
        for j in reversed(range(self.n_own)):
            if self.has_window[j] == self.has_window[i]:
                return j
        raise ModelError(f"{self.meta.path}: layer {i} shares the keys of a layer that there is none of")

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        """Of a row that is not yet normed."""
        n_ff, hp = self.hp.ffs[i], self.hp
        dense: Node = feed_forward.gated(self.norm(x, w, "ffn_norm"), w, n_ff, self.activation, has_scales=True)
        if not w.has("ffn_gate_inp"):
            return dense
        routed = Mul(RmsNorm(x, None, hp.eps) * hp.n_embd**-0.5, w("ffn_gate_inp.scale", hp.n_embd))
        router = Linear(routed, w("ffn_gate_inp", hp.n_expert, hp.n_embd))
        routing = read_routing(
            self.meta,
            hp,
            gating="softmax",
            is_normed=True,
            activation=self.activation,
            has_scales=True,
            share_scale=1.0,
        )
        chosen = mixture(self.norm(x, w, "pre_ffw_norm_2"), w, routing, router)
        return self.norm(dense, w, "post_ffw_norm_1") + self.norm(chosen, w, "post_ffw_norm_2")

    def head(self, x: Node) -> Node:
        logits = super().head(x)
        return Softcap(logits, self.last_softcap) if self.last_softcap else logits
