"""Parts that layers are composed of, with the tensors they need."""

from __future__ import annotations

from collections.abc import Iterator

from llamakit.core.graph.ops import Attention, Experts, Glu, Node, RmsNorm, Rope
from llamakit.core.graph.rotation import Rotation
from llamakit.core.models.hparams import HParams
from llamakit.core.models.tensors import Spec, Tensors, experts, matrix, vector


def attention_specs(hp: HParams) -> Iterator[Spec]:
    """Separate q, k, v and the output projection."""
    yield from matrix("attn_q", hp.n_head * hp.head_dim, hp.n_embd)
    yield from matrix("attn_k", hp.n_head_kv * hp.head_dim, hp.n_embd)
    yield from matrix("attn_v", hp.n_head_kv * hp.head_dim, hp.n_embd)
    yield from matrix("attn_output", hp.n_embd, hp.n_head * hp.head_dim)


def head_norm_specs(hp: HParams) -> Iterator[Spec]:
    """Norms of every query and key head."""
    yield from vector("attn_q_norm", hp.head_dim)
    yield from vector("attn_k_norm", hp.head_dim)


def attention(x: Node, w: Tensors, i: int, hp: HParams, rotation: Rotation, window: int = 0) -> Node:
    """Projections, norm by head where the layer has one, rotation, attention, output projection."""
    q, k = w.attn_q(x), w.attn_k(x)
    if w.has("attn_q_norm"):
        q, k = RmsNorm(q, w.attn_q_norm, hp.eps), RmsNorm(k, w.attn_k_norm, hp.eps)
    q, k = Rope(q, hp.head_dim, rotation), Rope(k, hp.head_dim, rotation)
    attended = Attention(q, k, w.attn_v(x), hp.head_dim, i, hp.scale, window)
    out: Node = w.attn_output(attended)
    return out


def feed_forward_specs(hp: HParams) -> Iterator[Spec]:
    yield from matrix("ffn_gate", hp.n_ff, hp.n_embd)
    yield from matrix("ffn_up", hp.n_ff, hp.n_embd)
    yield from matrix("ffn_down", hp.n_embd, hp.n_ff)


def feed_forward(x: Node, w: Tensors, activation: str = "silu") -> Node:
    """down(activation(gate x) * up x)"""
    out: Node = w.ffn_down.scaled_last(Glu(w.ffn_gate.scaled_last(x), w.ffn_up.scaled_last(x), activation))
    return out


def unscaled_feed_forward(x: Node, w: Tensors, activation: str = "silu") -> Node:
    """As feed_forward, for architectures that have no scales here: llama.cpp passes over those that a file holds."""
    out: Node = w.ffn_down.unscaled(Glu(w.ffn_gate.unscaled(x), w.ffn_up.unscaled(x), activation))
    return out


def mixture_specs(hp: HParams) -> Iterator[Spec]:
    yield from matrix("ffn_gate_inp", hp.n_expert, hp.n_embd)
    yield from experts("ffn_gate_exps", hp.n_expert, hp.n_ff_expert, hp.n_embd)
    yield from experts("ffn_up_exps", hp.n_expert, hp.n_ff_expert, hp.n_embd)
    yield from experts("ffn_down_exps", hp.n_expert, hp.n_embd, hp.n_ff_expert)


def mixture(x: Node, w: Tensors, hp: HParams) -> Node:
    """The best experts of each token, by softmax over all, with shares that add up to 1."""
    return Experts(
        x, w.ffn_gate_inp(x), w.ffn_gate_exps, w.ffn_up_exps, w.ffn_down_exps, hp.n_expert_used,
        gate_scale=w.find("ffn_gate_exps.scale"), up_scale=w.find("ffn_up_exps.scale"),
        down_scale=w.find("ffn_down_exps.scale"),
    )  # fmt: skip
