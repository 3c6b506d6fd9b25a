"""The graph in NumPy float32: the truth that tests compare with. One function per op, nothing clever.

Also the place to look at any activation: `Reference(graph, weights).values(tokens)` gives the result of every node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from llamakit.core.graph import fused, ops
from llamakit.core.graph.rotation import Rotation
from llamakit.core.graph.tap import Tap

Floats = npt.NDArray[np.float32]
Formula = TypeVar("Formula", bound=Callable[..., Any])
FORMULAS: dict[type[ops.Node], Callable[..., Any]] = {}


class Reference:
    """Runs a graph; `weights` gives the float32 array of a name. Keeps k and v between calls: one sequence."""

    def __init__(self, root: ops.Node, weights: Callable[[str], Floats]) -> None:
        self.root, self.weights = root, weights
        self.position = 0
        self.cache: dict[int, tuple[Floats, Floats]] = {}
        self.tokens: npt.NDArray[np.int64] = np.zeros(0, np.int64)

    def run(self, tokens: npt.ArrayLike) -> Floats:
        """The logits of every token.   (n_tokens,) -> (n_tokens, n_vocab)"""
        result: Floats = self.values(tokens)[id(self.root)]
        return result

    def values(self, tokens: npt.ArrayLike) -> dict[int, Any]:
        """The result of every node, by its id."""
        results: dict[int, Any] = {}
        self.tokens = np.asarray(tokens)
        for node in ops.in_order(self.root):
            results[id(node)] = FORMULAS[type(node)](self, node, *(results[id(n)] for n in node.inputs()))
        self.position += len(self.tokens)
        return results


def formula(op: type[ops.Node]) -> Callable[[Formula], Formula]:
    """A function (run, node, *values of its inputs) -> value of the node."""

    def declare(function: Formula) -> Formula:
        FORMULAS[op] = function
        return function

    return declare


@formula(ops.Tokens)
def tokens(run: Reference, op: ops.Tokens) -> npt.NDArray[np.int64]:
    return run.tokens


@formula(ops.Weight)
def weight(run: Reference, op: ops.Weight) -> Floats:
    return run.weights(op.name)


@formula(ops.Embed)
def embed(run: Reference, op: ops.Embed, tokens: npt.NDArray[np.int64], table: Floats) -> Floats:
    return table[tokens] * np.float32(op.scale)


def normed(x: Floats, weight: Floats, eps: float) -> Floats:
    """Over each `weight.size` numbers of a row."""
    heads = x.reshape(len(x), -1, weight.size)
    mean_square = np.mean(heads * heads, axis=-1, keepdims=True)
    length: Floats = np.sqrt(mean_square + np.float32(eps))
    return (heads / length * weight).reshape(len(x), -1)


@formula(ops.RmsNorm)
def rms_norm(run: Reference, op: ops.RmsNorm, x: Floats, weight: Floats) -> Floats:
    return normed(x, weight, op.eps)


@formula(ops.Linear)
def linear(run: Reference, op: ops.Linear, x: Floats, weight: Floats, *rest: Floats) -> Floats:
    terms = iter(rest)
    scale = next(terms) if op.scale is not None else np.float32(1)
    y = x @ weight.T * scale
    if op.bias is None:
        return y
    return y + next(terms) * (scale if op.is_bias_scaled else np.float32(1))


def turned(run: Reference, x: Floats, head_dim: int, rotation: Rotation) -> Floats:
    angles = rotation.angles(len(x), run.position)[:, None]
    cos, sin = angles[..., 0], angles[..., 1]
    out = x.reshape(len(x), -1, head_dim).copy()
    n = rotation.n_rot
    first, second = (slice(0, n // 2), slice(n // 2, n)) if rotation.is_neox else (slice(0, n, 2), slice(1, n, 2))
    a, b = out[..., first].copy(), out[..., second].copy()
    out[..., first], out[..., second] = a * cos - b * sin, a * sin + b * cos
    return out.reshape(x.shape)


@formula(ops.Rope)
def rope(run: Reference, op: ops.Rope, x: Floats) -> Floats:
    return turned(run, x, op.head_dim, op.rotation)


@formula(ops.Attention)
def attention(run: Reference, op: ops.Attention | fused.RopeAttention, q: Floats, k: Floats, v: Floats) -> Floats:
    if op.layer in run.cache:
        k, v = (np.concatenate(both) for both in zip(run.cache[op.layer], (k, v), strict=True))
    run.cache[op.layer] = k, v
    n_query, n_key = len(q), len(k)
    q, k, v = (a.reshape(len(a), -1, op.head_dim).swapaxes(0, 1) for a in (q, k, v))
    k, v = (np.repeat(a, len(q) // len(k), axis=0) for a in (k, v))
    scores = q @ k.swapaxes(1, 2) * np.float32(op.scale)
    if op.softcap:
        scores = np.tanh(scores / np.float32(op.softcap)) * np.float32(op.softcap)
    distance = (n_key - n_query + np.arange(n_query))[:, None] - np.arange(n_key)
    is_hidden = (distance < 0) | (distance >= op.window if op.window else False)
    return (softmax(np.where(is_hidden, -np.inf, scores)) @ v).swapaxes(0, 1).reshape(n_query, -1)


def softmax(x: Floats) -> Floats:
    e = np.exp(x - x.max(-1, keepdims=True))
    share: Floats = (e / e.sum(-1, keepdims=True)).astype(np.float32)
    return share


def activate(name: str, x: Floats) -> Floats:
    """silu(x), or gelu(x) in the tanh form."""
    with np.errstate(over="ignore"):
        inner = x if name == "silu" else 2 * np.float32(0.7978845608) * (x + np.float32(0.044715) * x**3)
        y: Floats = x / (1 + np.exp(-inner))
    return y


@formula(ops.Glu)
def glu(run: Reference, op: ops.Glu, gate: Floats, up: Floats) -> Floats:
    return activate(op.activation, gate) * up


@formula(ops.Experts)
def experts(
    run: Reference, op: ops.Experts, x: Floats, router: Floats, gate: Floats, up: Floats, down: Floats, *scales: Floats
) -> Floats:
    terms = iter(scales)
    ones = np.ones(len(gate), np.float32)
    gate_scale, up_scale, down_scale = (
        ones if s is None else next(terms) for s in (op.gate_scale, op.up_scale, op.down_scale)
    )
    out, share = np.zeros_like(x), softmax(router)
    for t, row in enumerate(x):
        best = np.argsort(-share[t], kind="stable")[: op.n_used]
        total = max(share[t, best].sum(), np.float32(2.0**-14)) if op.is_normed else np.float32(1)
        for e in best:
            hidden = activate(op.activation, gate[e] @ row * gate_scale[e]) * (up[e] @ row * up_scale[e])
            out[t] += share[t, e] / total * (down[e] @ hidden * down_scale[e])
    return out


@formula(ops.Add)
def add(run: Reference, op: ops.Add, a: Floats, b: Floats) -> Floats:
    return a + b


@formula(ops.SquaredRelu)
def squared_relu(run: Reference, op: ops.SquaredRelu, x: Floats) -> Floats:
    return np.maximum(x, np.float32(0)) ** 2


@formula(ops.Softcap)
def softcap(run: Reference, op: ops.Softcap, x: Floats) -> Floats:
    share: Floats = np.tanh(x / np.float32(op.cap))
    return share * np.float32(op.cap)


@formula(ops.SelectRows)
def select_rows(run: Reference, op: ops.SelectRows, x: Floats) -> Floats:
    return x


@formula(Tap)
def tap(run: Reference, op: Tap, x: Floats) -> Floats:
    return x


# what `fuse.py` makes
@formula(fused.Stack)
def stack(run: Reference, op: fused.Stack, *parts: Floats) -> Floats:
    if not op.is_interleaved:
        return np.concatenate(parts)
    return np.stack([p.reshape(-1, 16, op.width) for p in parts], 1).reshape(-1, op.width)


@formula(fused.Matmul)
def matmul(run: Reference, op: fused.Matmul, x: Floats, weight: Floats, *rest: Floats) -> Floats:
    terms = iter(rest)
    scales = [next(terms) if s is not None else None for s in op.scales]
    biases = [next(terms) if b is not None else None for b in op.biases]
    if op.norm is not None:
        x = normed(x, next(terms), op.eps)
    y = x @ weight.T
    n = [p.n_rows for p in op.weight.parts]
    groups = y.reshape(len(y), -1, len(n), 16) if op.weight.is_interleaved else None
    split = (
        [groups[:, :, i].reshape(len(y), -1) for i in range(len(n))]
        if groups is not None
        else np.split(y, np.cumsum(n)[:-1], axis=1)
    )
    split = [p * s if s is not None else p for p, s in zip(split, scales, strict=True)]
    if op.is_bias_scaled:
        biases = [b if b is None or s is None else b * s for b, s in zip(biases, scales, strict=True)]
    split = [p + b if b is not None else p for p, b in zip(split, biases, strict=True)]
    y = activate(op.activation, split[0]) * split[1] if op.activation else np.concatenate(split, axis=1)
    return y + next(terms) if op.residual is not None else y


@formula(fused.AddNorm)
def add_norm(run: Reference, op: fused.AddNorm, x: Floats, weight: Floats, residual: Floats) -> Floats:
    return residual + normed(x, weight, op.eps)


@formula(fused.RopeAttention)
def rope_attention(run: Reference, op: fused.RopeAttention, qkv: Floats, *norms: Floats) -> Floats:
    terms = iter(norms)
    n_q, n_kv = op.n_head * op.head_dim, op.n_head_kv * op.head_dim
    q, k, v = np.split(qkv, [n_q, n_q + n_kv], axis=1)
    q = normed(q, next(terms), op.eps) if op.q_norm is not None else q
    k = normed(k, next(terms), op.eps) if op.k_norm is not None else k
    if op.rotation is not None:
        q, k = (turned(run, a, op.head_dim, op.rotation) for a in (q, k))
    return attention(run, op, q, k, v)
