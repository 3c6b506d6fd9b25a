"""Ops on several streams side by side in a row: hyper-connections, and sums of earlier layers with learned shares."""

from __future__ import annotations

from llamakit.core.graph.ops.node import LikeX, Node, node


@node
class Mix(Node):
    """Sums of streams: stream i of the result is the sum over j of c[j][i] x_j.

    x: streams of n numbers; c: for each of these a share in each stream of the result.
    """

    x: Node
    c: Node
    n: int

    @property
    def n_in(self) -> int:
        return self.x.width // self.n

    @property
    def n_out(self) -> int:
        return self.c.width // self.n_in

    @property
    def width(self) -> int:
        return self.n * self.n_out


@node
class Dot(Node):
    """Of each n numbers of a row, the sum of their products with those of another."""

    a: Node
    b: Node
    n: int

    @property
    def width(self) -> int:
        return self.a.width // self.n


@node
class Root(LikeX):
    """sign(x) sqrt(max(|x|, least))"""

    x: Node
    least: float = 0.0


@node
class Softmax(LikeX):
    """softmax of each n numbers"""

    x: Node
    n: int


@node
class Balanced(LikeX):
    """Rows of n numbers, as many rows, become a matrix whose rows and columns each have about the sum 1.

    softmax of each row, plus eps; then all numbers are divided by the sum of their column plus eps, and, for each
    further round, by that of their row and that of their column again. Source: Sinkhorn and Knopp (1967), as in
    manifold-constrained hyper-connections (arXiv:2512.24880).
    """

    x: Node
    n: int
    n_rounds: int
    eps: float
