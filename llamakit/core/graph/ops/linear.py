"""Norms, and products with weights."""

from __future__ import annotations

from llamakit.core.graph.ops.inputs import Weight
from llamakit.core.graph.ops.node import LikeX, Node, node
from llamakit.errors import ModelError


@node
class Norm(LikeX):
    """Over each `group` numbers of x: rows, or heads.

    A weight of shape (heads, n) has numbers of its own for each head. Without a weight, `n` says how many numbers are
    normed together; 0 is the whole row.
    """

    x: Node
    weight: Weight | None
    eps: float
    bias: Weight | None = None
    n: int = 0

    @property
    def group(self) -> int:
        return self.weight.width if self.weight is not None else self.n or self.x.width


@node
class RmsNorm(Norm):
    """x / sqrt(mean(x^2) + eps) * weight + bias"""


@node
class LayerNorm(Norm):
    """(x - mean) / sqrt(variance + eps) * weight + bias"""


@node
class Linear(Node):
    """x W^T * scale + bias; scale is one number, bias one for each row of W, itself scaled if `is_bias_scaled`."""

    x: Node
    weight: Weight
    scale: Weight | None = None
    bias: Weight | None = None
    is_bias_scaled: bool = False

    @property
    def width(self) -> int:
        return self.weight.n_rows

    def __post_init__(self) -> None:
        if self.x.width != self.weight.width:
            raise ModelError(f"{self.weight.name} takes {self.weight.width} columns, is given {self.x.width}")


@node
class HeadLinear(Node):
    """Each head times a matrix of its own.   x: heads of weight.width numbers, weight: (heads, rows, columns)"""

    x: Node
    weight: Weight

    @property
    def width(self) -> int:
        return self.weight.shape[0] * self.weight.n_rows
