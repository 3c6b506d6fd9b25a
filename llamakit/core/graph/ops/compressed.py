"""Attention to the last keys and to summaries of all: every `ratio` positions become one key that is its own value.

Source: DeepSeek V4 as llama.cpp of 2026 computes it.
"""

from __future__ import annotations

from llamakit.core.graph.ops.inputs import Weight
from llamakit.core.graph.ops.node import Node, node
from llamakit.core.graph.ops.recurrent import Recurrent


@node
class Pooled(Recurrent):
    """At the last token of each `ratio`, their mean with shares by channel: the softmax of score + place[t % ratio].

    Rows of other tokens are zeros. With x twice as wide as n, the mean is over the `ratio` tokens before, too, of which
    the first half of a row counts, and of the latest the second half. place: (ratio, width of x).
    """

    x: Node
    score: Node
    place: Weight
    n: int
    ratio: int
    state: int

    @property
    def n_span(self) -> int:
        """Tokens that a mean is of."""
        return self.ratio * (self.x.width // self.n)

    @property
    def width(self) -> int:
        return self.n

    @property
    def n_state(self) -> int:
        return self.n_span * 2 * self.x.width


@node
class CompressedAttention(Node):
    """softmax(scale q k^T) k over the last `window` keys and all summaries of `ratio` positions each, and a sink.

    With `chosen`, of an indexer by pools of `ratio`, only summaries of what it has chosen count.

    keys: the token's own, and beside it the summary that ends with it, where one does. Both go to cache layer `layer`.
    """

    q: Node
    keys: Node
    sinks: Weight
    layer: int
    scale: float
    window: int
    ratio: int
    n_head_kv: int = 2
    head_dim_v: int = 0  # keys are the values
    chosen: Node | None = None

    @property
    def head_dim(self) -> int:
        return self.keys.width // 2

    @property
    def n_head(self) -> int:
        return self.q.width // self.head_dim

    @property
    def width(self) -> int:
        return self.q.width
