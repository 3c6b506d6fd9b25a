"""Low-rank changes of matrices (LoRA, arXiv:2106.09685) in a fused graph: W x becomes W x + scale B (A x).

The packed weights stay as they are: each change is two small float products behind the one it corrects. The scale is a
number in memory, which may be another at every run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from llamakit.core.graph.fuse import ROWS, rewrite
from llamakit.core.graph.fused import Matmul, Stack
from llamakit.core.graph.ops import Embed, Glu, Node, Slice, Weight


@dataclass(frozen=True, eq=False)
class LowRank:
    """Symbols of one change.   a: (rank, columns), b: (rows, rank), scale: (1,)

    Of an embedding, a has a row for each token instead, (n_vocab, rank), and b is (n_embd, rank).
    """

    a: Weight
    b: Weight
    scale: Weight


Changes = Mapping[str, Sequence[LowRank]]  # by the name of the tensor


def adapt(root: Node, changes: Changes) -> Node:
    """A fused graph with these changes. Those of tensors that are no plain matrix of the graph have no place in it."""

    def rule(node: Node) -> Node | None:
        match node:
            case Embed(table=table) if table.name in changes:
                return changed_embedding(node, changes[table.name])
            case Matmul() if any(is_changed(part, changes) for part in node.weight.parts):
                return changed_gates(node, changes) if node.activation else changed_product(node, changes)
        return None

    return rewrite(root, rule)


def is_changed(part: Weight, changes: Changes) -> bool:
    """An embedding that is the head, too, is changed as an embedding only."""
    return any(pair.a.width == part.width for pair in changes.get(part.name, ()))


def changed_embedding(node: Embed, pairs: Sequence[LowRank]) -> Node:
    result: Node = node
    for pair in pairs:
        result = corrected(result, replace(node, table=pair.a), pair.b, pair.scale, 0)
    return result


def changed_product(node: Matmul, changes: Changes) -> Node:
    """Each part of the stack by itself, added to its own rows of the result."""
    result: Node = node
    first = 0
    for part in node.weight.parts:
        result = changed_part(result, node, part, changes, first)
        first += part.n_rows
    return result


def changed_gates(node: Matmul, changes: Changes) -> Node:
    """The activation has to wait for what is added to gate and up, which come in turns of 16 rows."""
    plain = replace(node, activation=None)
    n_groups = node.width // ROWS
    gate, up = (
        changed_part(Slice(plain, i * ROWS, ROWS, n_groups), node, part, changes, 0)
        for i, part in enumerate(node.weight.parts)
    )
    assert node.activation is not None
    return Glu(gate, up, node.activation)


def changed_part(result: Node, product: Matmul, part: Weight, changes: Changes, first: int) -> Node:
    """`result`, whose numbers from `first` on are those of the part, with the part's changes."""
    if not is_changed(part, changes):
        return result
    for pair in changes[part.name]:
        low = Matmul(product.x, Stack((pair.a,)), (None,), (None,), False, product.norm, product.eps)
        b = pair.b.part(part.first, part.n_rows) if part.is_part else pair.b
        result = corrected(result, low, b, pair.scale, first)
    return result


def corrected(result: Node, low: Node, b: Weight, scale: Weight, first: int) -> Matmul:
    """result + scale B low, from number `first` of the result on"""
    return Matmul(low, Stack((b,)), (scale,), (None,), False, residual=result, first=first)
