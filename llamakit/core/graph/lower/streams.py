"""Records of ops on streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamakit.core.graph.lower.rows import one_by_one
from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.streams import Balanced, Dot, Mix, Root, Softmax
from llamakit.core.graph.plan import pitch
from llamakit.core.graph.program import Step
from llamakit.core.kernels import streams, unary

if TYPE_CHECKING:
    from llamakit.core.graph.lower.lowering import Lowering


def lower_streams(low: Lowering, node: Node) -> list[Step]:
    """The steps of a node, or none when it is of another kind."""
    match node:
        case Mix(x, c, n):
            return [Step("streams.mix", streams.Mix(
                x=low.at(x), c=low.at(c), out=low.at(node), n_rows=low.row_count(node), x_pitch=pitch(x),
                c_pitch=pitch(c), out_pitch=pitch(node), n=n, n_in=node.n_in, n_out=node.n_out,
            ))]  # fmt: skip
        case Dot(a, b, n):
            return [Step("streams.dot", streams.Dot(
                a=low.at(a), b=low.at(b), out=low.at(node), n_rows=low.row_count(node), pitch=pitch(a),
                out_pitch=pitch(node), n=n, n_groups=node.width,
            ))]  # fmt: skip
        case Root(x, least):
            return [one_by_one(low, node, x, unary.ROOT, least)]
        case Softmax(x, n):
            return [balance(low, node, x, n, 0, 0.0)]
        case Balanced(x, n, n_rounds, eps):
            return [balance(low, node, x, n, n_rounds, eps)]
    return []


def balance(low: Lowering, node: Node, x: Node, n: int, n_rounds: int, eps: float) -> Step:
    return Step("streams.balance", streams.Balance(
        x=low.at(x), out=low.at(node), n_rows=low.row_count(node), pitch=pitch(node), n=n, n_groups=x.width // n,
        n_rounds=n_rounds, eps=eps,
    ))  # fmt: skip
