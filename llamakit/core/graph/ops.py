"""What a model computes. A node is an operation and its result at once: one row per token, `width` numbers.

Nodes are plain dataclasses: a model file builds them, `reference.py` evaluates them, `fuse.py` matches them with
`case`. They know nothing of threads, tiles or buffers. What only `fuse.py` makes is in `fused.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from llamakit.core.gguf.types import GGMLType
from llamakit.core.graph.rotation import Rotation
from llamakit.errors import ModelError

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**options: bool) -> Any:
        """Tells type checkers that a decorator makes dataclasses; nothing at run time."""
        return lambda decorator: decorator


class Node:
    """One value of the graph."""

    @property
    def width(self) -> int:
        """Numbers in a row."""
        raise NotImplementedError

    def __add__(self, other: Node) -> Add:
        return Add(self, other)

    FIELDS: ClassVar[tuple[str, ...]] = ()

    def inputs(self) -> list[Node]:
        """The nodes that this one is computed from."""
        found: list[Node] = []
        for name in self.FIELDS:
            value = getattr(self, name)
            if isinstance(value, Node):
                found.append(value)
            elif isinstance(value, tuple):
                found += [v for v in value if isinstance(v, Node)]
        return found


N = TypeVar("N", bound=type[Node])


@dataclass_transform(frozen_default=True, eq_default=False)
def node(cls: N) -> N:
    """Immutable, compared by identity: two equal formulas are two values."""
    made: Any = dataclass(frozen=True, eq=False)(cls)
    cls.FIELDS = tuple(field.name for field in fields(made))
    return cls


class LikeX(Node):
    """A node as wide as its input x."""

    x: Node

    @property
    def width(self) -> int:
        return self.x.width


@node
class Tokens(Node):
    """The input: token ids."""

    @property
    def width(self) -> int:
        return 1


@node
class Weight(Node):
    """A learned array by its GGUF name: shape (rows, columns), experts in front; or (n,)."""

    name: str
    shape: tuple[int, ...]
    type: GGMLType

    @property
    def width(self) -> int:
        return self.shape[-1]

    @property
    def n_rows(self) -> int:
        return self.shape[-2]


@node
class Embed(Node):
    """scale * table[token]"""

    tokens: Tokens
    table: Weight
    scale: float = 1.0

    @property
    def width(self) -> int:
        return self.table.width


@node
class RmsNorm(LikeX):
    """x / sqrt(mean(x^2) + eps) * weight, over each `weight.width` numbers: rows, or heads."""

    x: Node
    weight: Weight
    eps: float


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
class Rope(LikeX):
    """Each head's first dimensions turned by the angles of its token's position."""

    x: Node
    head_dim: int
    rotation: Rotation


@node
class Attention(Node):
    """softmax(scale q k^T) v over this and all earlier positions, kept in cache layer `layer`.

    With a window, only the last `window` positions count; with a softcap, scores are softcap * tanh(s / softcap).
    """

    q: Node
    k: Node
    v: Node
    head_dim: int
    layer: int
    scale: float
    window: int = 0
    softcap: float = 0.0

    @property
    def width(self) -> int:
        return self.q.width


@node
class Glu(Node):
    """activation(gate) * up; the activation is "silu" or "gelu" (the tanh form)."""

    gate: Node
    up: Node
    activation: str = "silu"

    @property
    def width(self) -> int:
        return self.gate.width


@node
class Experts(LikeX):
    """sum over the n_used best experts e of share_e * down_e glu(gate_e x, up_e x).

    Shares are softmax(router) of all experts, made to add up to 1 over the chosen ones when `is_normed`.
    """

    x: Node
    router: Node
    gate: Weight
    up: Weight
    down: Weight
    n_used: int
    is_normed: bool = True
    activation: str = "silu"
    gate_scale: Weight | None = None  # one number for each expert
    up_scale: Weight | None = None
    down_scale: Weight | None = None


@node
class Add(Node):
    a: Node
    b: Node

    @property
    def width(self) -> int:
        return self.a.width


@node
class SquaredRelu(LikeX):
    """max(x, 0)^2"""

    x: Node


@node
class Softcap(LikeX):
    """cap * tanh(x / cap)"""

    x: Node
    cap: float


@node
class SelectRows(LikeX):
    """The rows whose logits are wanted."""

    x: Node


def in_order(root: Node) -> list[Node]:
    """Every node once, inputs before users."""
    order: dict[int, Node] = {}
    stack = [(root, False)]
    while stack:
        current, is_ready = stack.pop()
        if is_ready:
            order.setdefault(id(current), current)
        elif id(current) not in order:
            stack.append((current, True))
            stack += [(n, False) for n in reversed(current.inputs()) if id(n) not in order]
    return list(order.values())
