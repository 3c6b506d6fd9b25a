"""Ops that remember: what they keep of each sequence is a fixed number of floats, whatever its length.

`state` is the number of the memory that an op uses, one for each op.
"""

from __future__ import annotations

from llamakit.core.graph.ops.inputs import Tokens, Weight
from llamakit.core.graph.ops.node import LikeX, Node, node


class Recurrent(Node):
    """Base of these ops."""

    state: int

    @property
    def n_state(self) -> int:
        """Floats kept for each sequence; rows of states are filled up to whole vectors."""
        raise NotImplementedError


def padded(n: int) -> int:
    """n rounded up to whole vectors of 16."""
    return -(-n // 16) * 16


@node
class Convolution(LikeX, Recurrent):
    """y[t] = sum over j of weight[:, j] x[t - (n - 1 - j) dilation] + bias, channel by channel.

    weight: (channels, n). Before a sequence's first token there are zeros.
    """

    x: Node
    weight: Weight
    state: int
    bias: Weight | None = None
    dilation: int = 1

    @property
    def n_rows(self) -> int:
        """The tokens seen, those passed over too."""
        return (self.weight.width - 1) * self.dilation + 1

    @property
    def n_state(self) -> int:
        return (self.n_rows - 1) * padded(self.x.width)


@node
class Shifted(LikeX, Recurrent):
    """The row of the token before."""

    x: Node
    state: int

    @property
    def n_state(self) -> int:
        return padded(self.x.width)


@node
class NgramEmbed(Recurrent):
    """A row of a table for the last n tokens: row hash % size + offset, the hash the xor of tokens times multipliers.

    `multipliers`: of the token itself, of the one before, and so on, modulo 2^64. From `eos` on, looking back, and
    before a sequence's first token, tokens count as `eos`; the token itself counts as it is.
    """

    tokens: Tokens
    table: Weight
    multipliers: tuple[int, ...]
    size: int
    offset: int
    eos: int
    state: int

    @property
    def width(self) -> int:
        return self.table.width

    @property
    def n_state(self) -> int:
        return padded(len(self.multipliers) - 1)


@node
class StateScan(LikeX, Recurrent):
    """Selective state spaces (Mamba 1 and 2): for each head, h = h exp(dt a) + (x dt) b^T; y = h c + d x.

    x: heads of p numbers; dt: one for each head; b, c: groups of n numbers, which neighbouring heads share;
    a: (heads, 1) or (heads, n); d: (heads,). The state h of a head is p x n. Sources: arXiv:2312.00752,
    arXiv:2405.21060.
    """

    x: Node
    dt: Node
    b: Node
    c: Node
    a: Weight
    d: Weight
    n: int
    state: int

    @property
    def n_head(self) -> int:
        return self.dt.width

    @property
    def n_state(self) -> int:
        return self.x.width * padded(self.n)


@node
class FadingScan(Recurrent):
    """Linear attention that fades at a fixed rate: for each head, S = S exp(-rate) + k v^T; y = S^T q.

    q, k: heads of n numbers, v: as many heads. Source: Lightning Attention-2 (arXiv:2401.04658).
    """

    q: Node
    k: Node
    v: Node
    rates: tuple[float, ...]  # of the heads
    n: int
    state: int

    @property
    def width(self) -> int:
        return self.v.width

    @property
    def n_state(self) -> int:
        return self.v.width * padded(self.n)


@node
class DeltaScan(Recurrent):
    """The gated delta rule: for each value head, S = S exp(g); S += k (beta (v - S^T k))^T; y = S^T q.

    q, k: heads of n_key numbers; v: heads of n_value; g: one for each value head, or one for each of its keys too;
    beta: one for each value head. Value head h uses key head h // (heads of v / heads of k), or, when `is_tiled`,
    h % heads of k. Source: arXiv:2412.06464.
    """

    q: Node
    k: Node
    v: Node
    g: Node
    beta: Node
    n_key: int
    n_value: int
    state: int
    is_tiled: bool = False

    @property
    def n_head(self) -> int:
        return self.v.width // self.n_value

    @property
    def n_head_k(self) -> int:
        return self.k.width // self.n_key

    @property
    def width(self) -> int:
        return self.v.width

    @property
    def n_state(self) -> int:
        return self.n_head * self.n_key * padded(self.n_value)


@node
class WkvScan(Recurrent):
    """RWKV's linear attention: for each head, S = S * w + k v^T + b (S^T a)^T; y = S^T r.

    On the right, all S are the old one; with `is_read_first`, r reads it too. All are heads of n numbers; w has the
    share that stays of each row of S. Without a and b, nothing is corrected. Sources: arXiv:2404.05892 (RWKV 6),
    arXiv:2503.14456 (RWKV 7).
    """

    r: Node
    w: Node
    k: Node
    v: Node
    n: int
    state: int
    a: Node | None = None
    b: Node | None = None
    is_read_first: bool = False

    @property
    def width(self) -> int:
        return self.v.width

    @property
    def n_head(self) -> int:
        return self.v.width // self.n

    @property
    def n_state(self) -> int:
        return self.v.width * padded(self.n)
