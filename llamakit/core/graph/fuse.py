"""Rewrites of the graph: how it is computed changes, never what. Each rule looks at one node and gives its
replacement, or None."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from llamakit.core.graph.fused import AddNorm, Matmul, RopeAttention, Stack
from llamakit.core.graph.ops import Add, Concat, Glu, HeadLinear, Linear, Node, RmsNorm, Rope, Slice, Weight, in_order
from llamakit.core.graph.ops.attention import Attention, CachedAttention
from llamakit.core.graph.ops.rotation import Rotation

Rule = Callable[[Node], Node | None]
ROWS = 16  # of a tile: what gate and up take turns in


def fuse(root: Node) -> Node:
    """First parts that share an input become one product, then what stands before and behind products joins them."""
    root = rewrite(root, heads_apart)
    root = rewrite(root, attention_with_heads, attention_to_stored, glu_of_one_matrix)
    return rewrite(root, plain_linear, norm_before, residual_after, norm_and_add)


def heads_apart(node: Node) -> Node | None:
    """A product for each head, side by side."""
    if not isinstance(node, HeadLinear):
        return None
    n_head, n_rows, n = node.weight.shape
    flat = replace(node.weight, shape=(n_head * n_rows, n))
    heads = [Linear(Slice(node.x, h * n, n), flat.part(h * n_rows, n_rows)) for h in range(n_head)]
    return Concat(tuple(heads))


def attention_with_heads(node: Node) -> Node | None:
    """Norm by head and rotation go next to the cache; q, k and v of the same x become one matrix."""
    if not isinstance(node, Attention):
        return None
    (q, q_norm, eps, turn), (k, k_norm, k_eps, k_turn) = (projection(n, node.head_dim) for n in (node.q, node.k))
    if turn != k_turn or (q_norm and k_norm and eps != k_eps):
        q, k, q_norm, k_norm, turn, k_turn = node.q, node.k, None, None, None, None
    v, offsets = node.v, (0, 0, 0)
    if isinstance(q, Linear) and isinstance(k, Linear) and isinstance(v, Linear) and q.x is k.x is v.x:
        q, k, v, offsets = *(stacked(q.x, q, k, v),) * 3, (0, q.width, q.width + k.width)
    return RopeAttention(
        q, k, v, offsets, node.n_head, node.n_head_kv, node.head_dim, node.head_dim_v, node.layer, node.scale,
        node.window, node.softcap, node.is_chunked, node.max_bias, q_norm, k_norm, eps if q_norm else k_eps, turn,
        node.sinks, node.is_causal, (turn is not None or not is_turned(node.k)) and not node.is_behind_source,
        node.distances, node.buckets, node.is_behind_source, chosen=node.chosen,
        is_bias_by_key=node.is_bias_by_key,
    )  # fmt: skip


def attention_to_stored(node: Node) -> Node | None:
    """The same, for queries alone."""
    if not isinstance(node, CachedAttention):
        return None
    q, norm, eps, rotation = projection(node.q, node.head_dim)
    return RopeAttention(
        q, q, q, (0, 0, 0), node.n_head, node.n_head_kv, node.head_dim, node.head_dim_v, node.layer, node.scale,
        node.window, node.softcap, node.is_chunked, node.max_bias, norm, None, eps, rotation, None, node.is_causal,
        has_own_keys=False,
    )  # fmt: skip


def is_turned(node: Node) -> bool:
    """Whether there is a rotation behind the last products that a value comes from."""
    if isinstance(node, Rope):
        return True
    return not isinstance(node, (Linear, Matmul)) and any(map(is_turned, node.inputs()))


def projection(node: Node, head_dim: int) -> tuple[Node, Weight | None, float, Rotation | None]:
    """What is under a rotation and a norm by head, and these two."""
    rotation, norm, eps = None, None, 0.0
    if isinstance(node, Rope):
        rotation, node = node.rotation, node.x
    if isinstance(node, RmsNorm) and node.bias is None and node.weight and node.weight.shape == (head_dim,):
        norm, eps, node = node.weight, node.eps, node.x
    return node, norm, eps, rotation


def glu_of_one_matrix(node: Node) -> Node | None:
    """gate and up of the same x and type: one matrix, 16 rows of each in turn, the activation behind it."""
    match node:
        case Glu(Linear(x, a) as gate, Linear(y, b) as up, "silu" | "gelu") if x is y and can_alternate(a, b):
            return replace(stacked(x, gate, up, is_interleaved=True), activation=node.activation)
    return None


def can_alternate(a: Weight, b: Weight) -> bool:
    return a.type == b.type and a.n_rows % ROWS == 0


def stacked(x: Node, *linears: Linear, is_interleaved: bool = False) -> Matmul:
    """Several products of one x as one."""
    stack = Stack(tuple(n.weight for n in linears), is_interleaved)
    scales, biases = tuple(n.scale for n in linears), tuple(n.bias for n in linears)
    return Matmul(x, stack, scales, biases, linears[0].is_bias_scaled)


def plain_linear(node: Node) -> Node | None:
    return stacked(node.x, node) if isinstance(node, Linear) else None


def norm_before(node: Node) -> Node | None:
    """A whole-row norm goes in front of the product: every thread quantizes x anyway."""
    match node:
        case Matmul(RmsNorm(x, Weight() as weight, eps, None), norm=None) if weight.shape == (x.width,):
            return replace(node, x=x, norm=weight, eps=eps)
    return None


def residual_after(node: Node) -> Node | None:
    match node:
        case Add(residual, Matmul(activation=None, residual=None) as product) if not isinstance(residual, Weight):
            return replace(product, residual=residual)
    return None


def norm_and_add(node: Node) -> Node | None:
    match node:
        case Add(residual, RmsNorm(x, Weight() as weight, eps, None)) if weight.shape == (x.width,):
            return AddNorm(x, weight, eps, residual)
    return None


def rewrite(root: Node, *rules: Rule) -> Node:
    """Apply rules in turn everywhere, inputs first; a node that two others use stays one node."""
    new: dict[int, Node] = {}
    for node in in_order(root):
        candidate = with_inputs(node, new)
        for rule in rules:
            candidate = rule(candidate) or candidate
        if candidate is not node:
            new[id(node)] = candidate
    return new.get(id(root), root)


def with_inputs(node: Node, new: Mapping[int, Node]) -> Node:
    """The node itself, or a copy whose inputs are the new ones; `new` goes by the id of the old."""
    changed: dict[str, Any] = {}
    for name in node.FIELDS:
        value = getattr(node, name)
        if isinstance(value, tuple):
            moved: Any = tuple([new.get(id(v), v) for v in value])
            if any(a is not b for a, b in zip(value, moved, strict=True)):
                changed[name] = moved
        elif (moved := new.get(id(value), value)) is not value:
            changed[name] = moved
    return replace(node, **changed) if changed else node
