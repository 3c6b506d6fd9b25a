"""Nodes that only `fuse.py` makes: several operations that one kernel, or a few, do together."""

from __future__ import annotations

from llamakit.core.graph.ops import LikeX, Node, Weight, node
from llamakit.core.graph.ops.buckets import Buckets
from llamakit.core.graph.ops.rotation import Rotation


@node
class Stack(Node):
    """Matrices on top of each other, or, interleaved, 16 rows of the first, 16 of the second, and so on."""

    parts: tuple[Weight, ...]
    is_interleaved: bool = False

    @property
    def width(self) -> int:
        return self.parts[0].width

    @property
    def n_rows(self) -> int:
        return sum(p.n_rows for p in self.parts)


@node
class Matmul(Node):
    """epilogue(norm(x) W^T * scale + bias).

    `norm` is null or what x is normed with first. Each part of the weight may have a scale (one number) and a bias
    (one for each row). With an `activation`, the stack is gate and up interleaved and the result is
    activation(gate) * up; with a residual, it is added: the result is as wide as that, and the product may be added to
    its numbers from `first` on only.
    """

    x: Node
    weight: Stack
    scales: tuple[Weight | None, ...]
    biases: tuple[Weight | None, ...]
    is_bias_scaled: bool
    norm: Weight | None = None
    eps: float = 0.0
    activation: str | None = None
    residual: Node | None = None
    first: int = 0

    @property
    def width(self) -> int:
        if self.residual is not None:
            return self.residual.width
        return self.weight.n_rows // 2 if self.activation else self.weight.n_rows


@node
class AddNorm(LikeX):
    """residual + norm(x)"""

    x: Node
    weight: Weight
    eps: float
    residual: Node


@node
class RopeAttention(Node):
    """Attention whose q and k are normed by head (or not) and turned (or not) next to the cache.

    q, k and v lie `offsets` numbers into the rows of their nodes, which may be one. q is normed and turned in place:
    nothing else may read it. `can_shift` says whether keys can be turned to other positions later.
    """

    q: Node
    k: Node
    v: Node
    offsets: tuple[int, int, int]
    n_head: int
    n_head_kv: int
    head_dim: int
    head_dim_v: int
    layer: int
    scale: float
    window: int
    softcap: float
    is_chunked: bool
    max_bias: float
    q_norm: Weight | None
    k_norm: Weight | None
    eps: float
    rotation: Rotation | None
    sinks: Weight | None
    is_causal: bool = True
    can_shift: bool = True
    distances: Weight | None = None
    buckets: Buckets | None = None
    is_behind_source: bool = False
    has_own_keys: bool = True  # else they are in the cache already; k and v say nothing
    chosen: Node | None = None
    is_bias_by_key: bool = False

    @property
    def width(self) -> int:
        return self.n_head * self.head_dim_v
