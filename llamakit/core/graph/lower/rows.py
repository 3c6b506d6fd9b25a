"""Records of what is done to rows by themselves: norms, sums, products, activations, and moving numbers about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamakit.core.graph.ops import (
    Activation,
    Add,
    Clamp,
    Concat,
    Div,
    Glu,
    LayerNorm,
    Mul,
    Node,
    Repeat,
    RmsNorm,
    Rope,
    Scale,
    Shift,
    Slice,
    Softcap,
    Tempered,
    Weight,
)
from llamakit.core.graph.plan import pitch
from llamakit.core.graph.program import Step
from llamakit.core.kernels import elementwise, norm, rope, unary

if TYPE_CHECKING:
    from llamakit.core.graph.lower.lowering import Lowering

OPERATIONS: dict[type[Node], int] = {Add: elementwise.ADD, Mul: elementwise.MUL, Div: elementwise.DIV}


def lower_rows(low: Lowering, node: Node) -> list[Step]:
    """The steps of a node, or none when it is of another kind."""
    match node:
        case RmsNorm() | LayerNorm():
            return [group_norm(low, node)]
        case Add(a, Weight() as b) | Mul(a, Weight() as b) | Div(a, b):
            return [broadcast(low, node, a, low.memory.weights.vector(b), 0, b.width)]
        case Add(a, b):
            return [pairwise(low, "add", node, a, b)]
        case Mul(a, b):
            return [broadcast(low, node, a, low.at(b), pitch(b), b.width)]
        case Glu(gate, up, kind, limit):
            return [pairwise(low, "glu", node, gate, up, elementwise.GATED[kind], limit)]
        case Activation(x, kind):
            return [one_by_one(low, node, x, unary.KINDS[kind])]
        case Softcap(x, c):
            return [one_by_one(low, node, x, unary.SOFTCAP, c)]
        case Clamp(x, c):
            return [one_by_one(low, node, x, unary.CLAMP, c)]
        case Scale(x, c):
            return [one_by_one(low, node, x, unary.SCALE, c)]
        case Shift(x, c):
            return [one_by_one(low, node, x, unary.SHIFT, c)]
        case Tempered(x):
            return [Step("elementwise.tempered", elementwise.Tempered(
                x=low.at(x), out=low.at(node), pitch=pitch(node), factors=low.memory.factors(node),
                batch=low.memory.batch,
            ))]  # fmt: skip
        case Rope(x, head_dim, rotation):
            return [Step("rope.turn", rope.Turn(
                x=low.at(x), out=low.at(node), batch=low.memory.batch, pitch=pitch(node), n_head=x.width // head_dim,
                head_dim=head_dim, angles=low.memory.angles(rotation), n_rot=rotation.n_rot,
                is_neox=int(rotation.is_neox),
            ))]  # fmt: skip
        case Slice(x, first, n, groups):
            return [move(low, node, x, groups, n, x.width // groups, n, source=first)]
        case Repeat(x, n):
            return [move(low, node, x, n, x.width, 0, x.width)]
        case Concat(parts, groups):
            steps, place = [], 0
            for part in parts:
                width = part.width // groups
                steps.append(move(low, node, part, groups, width, width, node.width // groups, target=place))
                place += width
            return steps
    return []


def group_norm(low: Lowering, node: RmsNorm | LayerNorm) -> Step:
    weights = low.memory.weights
    n_groups = node.x.width // node.group
    has_own = node.weight is not None and len(node.weight.shape) > 1  # numbers for each group
    weight, bias = (
        None if w is None else weights.rows(w) if has_own else weights.vector(w) for w in (node.weight, node.bias)
    )
    return Step("norm.groups", norm.GroupNorm(
        x=low.at(node.x), weight=weight, bias=bias, out=low.at(node), n_rows=low.row_count(node), n=node.group,
        n_groups=n_groups, pitch=pitch(node), weight_step=weight.shape[1] if has_own and weight is not None else 0,
        is_centered=int(isinstance(node, LayerNorm)), eps=node.eps,
    ))  # fmt: skip


def pairwise(low: Lowering, kind: str, node: Node, a: Node, b: Node, activation: int = 0, limit: float = 0.0) -> Step:
    return Step(f"elementwise.{kind}", elementwise.Elementwise(
        a=low.at(a), b=low.at(b), out=low.at(node), pitch=pitch(node), n_rows=low.row_count(node),
        activation=activation, limit=limit,
    ))  # fmt: skip


def broadcast(low: Lowering, node: Node, a: Node, b: object, b_pitch: int, b_width: int) -> Step:
    return Step("elementwise.broadcast", elementwise.Broadcast(
        a=low.at(a), b=b, out=low.at(node), n=a.width, pitch=pitch(node), b_pitch=b_pitch, group=a.width // b_width,
        n_rows=low.row_count(node), operation=OPERATIONS[type(node)],
    ))  # fmt: skip


def one_by_one(low: Lowering, node: Node, x: Node, kind: int, c: float = 0.0) -> Step:
    return Step("unary.unary", unary.Unary(
        x=low.at(x), out=low.at(node), n=node.width, pitch=pitch(node), n_rows=low.row_count(node), kind=kind, c=c,
    ))  # fmt: skip


def move(
    low: Lowering,
    node: Node,
    x: Node,
    n_groups: int,
    n: int,
    source_step: int,
    out_step: int,
    source: int = 0,
    target: int = 0,
) -> Step:
    """n numbers of each group, from `source` on in x to `target` on in the node's own row."""
    return Step("elementwise.blocks", elementwise.Blocks(
        source=low.at(x) + 4 * source, out=low.at(node) + 4 * target, n_rows=low.row_count(node),
        source_pitch=pitch(x), out_pitch=pitch(node), source_step=source_step, out_step=out_step, n=n,
        n_groups=n_groups, out_end=node.width - target, n_fill=pitch(node) - node.width,
    ))  # fmt: skip
