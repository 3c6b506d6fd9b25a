"""Queries, keys and values."""

from __future__ import annotations

from llamakit.core.graph.ops import Activation, LayerNorm, Mul, Node, RmsNorm
from llamakit.core.models.hparams import HParams
from llamakit.core.models.tensors import Matrix, Tensors


def qkv(x: Node, w: Tensors, hp: HParams) -> tuple[Node, Node, Node]:
    """From three matrices, or from one that has them on top of each other."""
    widths = hp.n_head * hp.head_dim, hp.n_head_kv * hp.head_dim, hp.n_head_kv * hp.head_dim_v
    names = "attn_q", "attn_k", "attn_v"
    if not w.has("attn_qkv"):
        q, k, v = (w.linear(name, x, n) for name, n in zip(names, widths, strict=True))
        return q, k, v
    whole = w.matrix("attn_qkv", sum(widths), x.width)
    firsts = 0, widths[0], widths[0] + widths[1]
    parts = [whole.part(first, n) for first, n in zip(firsts, widths, strict=True)]
    if whole.bias is None:  # some files keep the biases apart
        biases = [w.find(f"{name}.bias", n) for name, n in zip(names, widths, strict=True)]
        parts = [Matrix(p.weight, p.scale, b) for p, b in zip(parts, biases, strict=True)]
    q, k, v = (part(x) for part in parts)
    return q, k, v


def head_norm(x: Node, w: Tensors, name: str, head_dim: int, eps: float) -> RmsNorm:
    """One norm for every head."""
    return RmsNorm(x, w(name, head_dim), eps, w.find(f"{name}.bias", head_dim))


def own_head_norm(x: Node, w: Tensors, name: str, head_dim: int, eps: float) -> LayerNorm:
    """Each head has a weight of its own; the mean is taken off."""
    return LayerNorm(x, w(name, x.width // head_dim, head_dim), eps)


def sigmoid_gate(attended: Node, x: Node, w: Tensors, n: int) -> Node:
    """Each of what is attended, or each head, times a gate that x opens."""
    return Mul(attended, Activation(w.matrix("attn_gate", n, x.width).unscaled(x), "sigmoid"))
