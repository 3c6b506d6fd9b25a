"""Encoder and decoder in one sequence: the encoder's tokens, its source, take the positions in front.

The encoder leaves keys and values of its last states in the cache, layers of their own, and the decoder's tokens
attend to all of them; to each other they attend in other layers, from the first position behind the source on.
"""

from __future__ import annotations

from llamakit.core.graph.node import LikeX, Node, node


@node
class KeepSource(LikeX):
    """x; and these keys and values are kept in cache layer `layer`."""

    x: Node
    k: Node
    v: Node
    head_dim: int
    layer: int

    @property
    def n_head_kv(self) -> int:
        return self.k.width // self.head_dim

    @property
    def head_dim_v(self) -> int:
        return self.v.width // self.n_head_kv


@node
class SourceAttention(Node):
    """softmax(scale q k^T) v over the source that `KeepSource` has kept."""

    q: Node
    head_dim: int
    head_dim_v: int
    n_head_kv: int
    layer: int
    scale: float

    @property
    def n_head(self) -> int:
        return self.q.width // self.head_dim

    @property
    def width(self) -> int:
        return self.n_head * self.head_dim_v
