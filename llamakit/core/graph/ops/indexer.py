"""Sparse attention: an indexer scores all keys with small heads of its own, and attention sees the best only.

Sources: DeepSeek V3.2 (arXiv:2512.02556); by pools of positions: GLM 5.3 and DeepSeek V4 in transformers 5.23.
"""

from __future__ import annotations

from llamakit.core.graph.ops.node import Node, node


@node
class ChosenKeys(Node):
    """The `top_k` positions up to the token's own of the largest sum_h weight_h * max(q_h k, 0); of equals the earlier.

    With pools, each key at the last of `pool` positions stands for all of them: the `top_k` best pools that have ended
    are chosen, and what follows the last of them. Keys elsewhere do not count.

    A row is one bit for each position, 32 in the place of a number. q: heads of k's width, weights: one for each head.
    Keys are kept in cache layer `layer`.
    """

    q: Node
    k: Node
    weights: Node
    layer: int
    top_k: int
    n_ctx: int
    pool: int = 1
    n_head_kv: int = 1
    head_dim_v: int = 0  # there are no values

    @property
    def n_head(self) -> int:
        return self.weights.width

    @property
    def head_dim(self) -> int:
        return self.k.width

    @property
    def n_all(self) -> int:
        """Tokens at no more than so many positions see all of them."""
        return (self.top_k + 1) * self.pool - 1

    @property
    def n_positions(self) -> int:
        """Of whole blocks of the cache."""
        return -(-self.n_ctx // 64) * 64

    @property
    def width(self) -> int:
        return self.n_positions // 32
