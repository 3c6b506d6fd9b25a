"""Sparse attention: an indexer scores all keys with small heads of its own, and attention sees the best only.

Source: DeepSeek V3.2 (arXiv:2512.02556).
"""

from __future__ import annotations

from llamakit.core.graph.ops.node import Node, node


@node
class ChosenKeys(Node):
    """The `top_k` positions up to the token's own of the largest sum_h weight_h * max(q_h k, 0); of equals the earlier.

    A row is one bit for each position, 32 in the place of a number. q: heads of k's width, weights: one for each head.
    Keys are kept in cache layer `layer`.
    """

    q: Node
    k: Node
    weights: Node
    layer: int
    top_k: int
    n_ctx: int
    n_head_kv: int = 1
    head_dim_v: int = 0  # there are no values

    @property
    def n_head(self) -> int:
        return self.weights.width

    @property
    def head_dim(self) -> int:
        return self.k.width

    @property
    def width(self) -> int:
        return -(-self.n_ctx // 64) * 2
